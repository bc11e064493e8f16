"""The body of a dashboard: widgets that CloudWatch draws, where it draws them, of metrics that somebody writes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from tests.infra.known_metrics import EXTENDED, STATISTICS, Known, expression_problems, id_problems

COLUMNS = 24
HEIGHT_MAX = 1000
WIDGETS_MAX = 500
ROWS_MAX = 500

_BODY = {"widgets", "start", "end", "periodOverride", "variables"}
_WIDGET = {"type", "x", "y", "width", "height", "properties"}
_PROPERTIES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "text": (frozenset({"markdown"}), frozenset({"markdown", "background"})),
    "alarm": (frozenset({"alarms"}), frozenset({"alarms", "sortBy", "states", "title"})),
    "log": (
        frozenset({"query", "region"}),
        frozenset({"accountId", "query", "region", "title", "view", "stacked", "queryLanguage"}),
    ),
    "metric": (
        frozenset({"metrics", "region"}),
        frozenset(
            {
                "accountId", "annotations", "end", "labels", "legend", "liveData", "metrics", "period", "region",
                "setPeriodToTimeRange", "singleValueFullPrecision", "sparkline", "stacked", "start", "stat", "table",
                "timezone", "title", "trend", "view", "yAxis",
            }
        ),
    ),
}  # fmt: skip
"""Properties of each kind of widget: those that it needs, and all that it has."""
_VIEWS = ("bar", "gauge", "pie", "singleValue", "table", "timeSeries")
_RENDERING = {
    "accountId", "color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis",
}  # fmt: skip


def problems(body: Any, known: Known) -> Iterator[str]:
    """What is wrong with a dashboard's body, given as JSON."""
    try:
        parsed = json.loads(body)
    except (TypeError, ValueError) as error:
        yield f"dashboardBody is no JSON: {error}"
        return
    if not isinstance(parsed, Mapping) or not isinstance(parsed.get("widgets"), list) or not parsed["widgets"]:
        yield "dashboardBody has no widgets"
        return
    yield from (f"dashboardBody.{key} does not exist" for key in sorted(set(parsed) - _BODY))
    widgets = parsed["widgets"]
    if len(widgets) > WIDGETS_MAX:
        yield f"{len(widgets)} widgets, of {WIDGETS_MAX}"
    placed = []
    for index, widget in enumerate(widgets):
        name = _name(index, widget)
        wrong = list(_place(widget))
        if not wrong:
            placed.append((name, widget))
        yield from (f"{name}: {problem}" for problem in [*wrong, *_widget(widget, known)])
    for (name, one), (other_name, other) in combinations(placed, 2):
        if _overlap(one, other):
            yield f"{name} and {other_name} overlap"


def _name(index: int, widget: Any) -> str:
    properties = widget.get("properties") if isinstance(widget, Mapping) else None
    title = properties.get("title") if isinstance(properties, Mapping) else None
    return f"widget {index}" if title is None else f"widget {title!r}"


def _place(widget: Mapping[str, Any]) -> Iterator[str]:
    limits = {"x": (0, COLUMNS - 1), "y": (0, None), "width": (1, COLUMNS), "height": (1, HEIGHT_MAX)}
    for key, (low, high) in limits.items():
        value = widget.get(key)
        if type(value) is not int or value < low or (high is not None and value > high):
            yield f"{key} is {value!r}, not {low} to {'any' if high is None else high}"
            return
    if widget["x"] + widget["width"] > COLUMNS:
        yield f"x {widget['x']} and width {widget['width']} reach beyond the {COLUMNS} columns"


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    across = one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
    return bool(across and one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"])


def _widget(widget: Mapping[str, Any], known: Known) -> Iterator[str]:
    yield from (f"{key} is nothing that a widget has" for key in sorted(set(widget) - _WIDGET))
    kind, properties = widget.get("type"), widget.get("properties")
    if not isinstance(kind, str) or kind not in _PROPERTIES:
        yield f"type is {kind!r}, not one of {', '.join(sorted(_PROPERTIES))}"
        return
    if not isinstance(properties, Mapping):
        yield "properties is missing"
        return
    needed, allowed = _PROPERTIES[kind]
    yield from (f"{key} is missing" for key in sorted(needed - set(properties)))
    yield from (f"{key} is no property of a widget of type {kind}" for key in sorted(set(properties) - allowed))
    if kind == "metric":
        yield from _metrics(properties, known)
    if kind == "alarm":
        yield from (
            f"{arn!r} is no ARN of an alarm" for arn in properties.get("alarms", ()) if ":alarm:" not in str(arn)
        )


def _metrics(properties: Mapping[str, Any], known: Known) -> Iterator[str]:
    if properties.get("view", "timeSeries") not in _VIEWS:
        yield f"view is {properties['view']!r}, not one of {', '.join(_VIEWS)}"
    yield from _drawn(properties)
    rows = properties.get("metrics")
    if not isinstance(rows, list) or not rows or len(rows) > ROWS_MAX:
        yield f"metrics is {rows!r}: give 1 to {ROWS_MAX} rows"
        return
    options = [row[-1] if isinstance(row, list) and row and isinstance(row[-1], Mapping) else {} for row in rows]
    ids = [each["id"] for each in options if "id" in each]
    yield from id_problems(ids)
    for row, rendered in zip(rows, options, strict=True):
        yield from _row(row, rendered, frozenset(ids), known)


def _row(row: Any, rendered: Mapping[str, Any], ids: frozenset[Any], known: Known) -> Iterator[str]:
    yield from (f"{key} is nothing that a metric has" for key in sorted(set(rendered) - _RENDERING))
    yield from _drawn(rendered)
    parts: Sequence[Any] = row[: len(row) - bool(rendered)] if isinstance(row, list) else ()
    if "expression" in rendered:
        if parts:
            yield f"{row!r} is a metric and an expression"
        yield from expression_problems(str(rendered["expression"]), ids, known)
    elif any(isinstance(part, str) and part and set(part) == {"."} for part in parts):
        yield f"{row!r} refers to the row before it: write it out"
    elif len(parts) < 2 or len(parts) % 2 or not all(isinstance(part, str) for part in parts):
        yield f"{row!r} is no metric: give namespace, name, and pairs of dimension and value"
    else:
        names = list(parts[2::2])
        if len(set(names)) < len(names):
            yield f"{row!r} has a dimension twice"
        yield from known.problems(parts[0], parts[1], dict(zip(names, parts[3::2], strict=True)))


def _drawn(options: Mapping[str, Any]) -> Iterator[str]:
    """What widgets and their rows have alike."""
    stat, period = options.get("stat"), options.get("period")
    if stat is not None and stat not in STATISTICS and not EXTENDED.fullmatch(str(stat)):
        yield f"stat is {stat!r}: give one of {', '.join(STATISTICS)}, or a percentile such as p95"
    if period is not None and not (
        period in (1, 5, 10, 20, 30) or (type(period) is int and period > 0 and period % 60 == 0)
    ):
        yield f"period is {period!r}: give a multiple of 60 seconds"
    axis = options.get("yAxis")
    if (
        axis is not None
        and axis not in ("left", "right")
        and not (isinstance(axis, Mapping) and set(axis) <= {"left", "right"})
    ):
        yield f"yAxis is {axis!r}: give left or right"
