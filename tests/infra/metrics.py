"""Dashboards and alarms against metrics that exist: CloudWatch takes any name, and shows nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra import dashboards
from tests.infra.graph import Graph, Recorded
from tests.infra.known_metrics import EXTENDED, STATISTICS, Known, expression_problems, id_problems
from tests.infra.metric_tables import AWS, Emitted
from tests.infra.wire import UNKNOWN

DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"

_COMPARISONS = tuple(
    f"{which}Threshold" for which in ("GreaterThanOrEqualTo", "GreaterThan", "LessThan", "LessThanOrEqualTo")
)
_MISSING = ("breaching", "ignore", "missing", "notBreaching")
_DAY_S = 86_400


def problems(graph: Graph, emitted: Emitted) -> list[str]:
    """What is wrong with the dashboards and alarms of a graph.

    Args:
        graph: recorded.
        emitted: the metrics that services of one's own write.
    """
    known = Known(emitted)
    found: list[str] = []
    for board in graph.of(DASHBOARD):
        body = board.inputs.get("dashboardBody")
        if body is not UNKNOWN:
            found += [f"{board.where}: {problem}" for problem in dashboards.problems(body, known)]
    names: dict[str, str] = {}
    for alarm in graph.of(ALARM):
        found += [f"{alarm.where}: {problem}" for problem in _alarm(alarm, known)]
        name = alarm.inputs.get("name")
        if isinstance(name, str) and name in names:
            found.append(f"{alarm.where}: its name {name!r} is that of {names[name]} too")
        names[str(name)] = alarm.where
    return found


def _alarm(alarm: Recorded, known: Known) -> Iterator[str]:
    inputs = alarm.inputs
    if inputs.get("comparisonOperator") not in _COMPARISONS:
        yield f"comparisonOperator is {inputs.get('comparisonOperator')!r}, not one of {', '.join(_COMPARISONS)}"
    if inputs.get("threshold") is None:
        yield "threshold is missing"
    if inputs.get("treatMissingData") not in _MISSING:
        yield f"treatMissingData is {inputs.get('treatMissingData')!r}: say one of {', '.join(_MISSING)}"
    periods, enough = inputs.get("evaluationPeriods"), inputs.get("datapointsToAlarm")
    if not isinstance(periods, int | float) or periods < 1:
        yield f"evaluationPeriods is {periods!r}, not a number from 1"
    elif isinstance(enough, int | float) and not 1 <= enough <= periods:
        yield f"datapointsToAlarm is {enough:g}, not 1 to {periods:g}"
    for key in ("alarmActions", "okActions", "insufficientDataActions"):
        actions = inputs.get(key)
        for action in actions if isinstance(actions, list) else ():
            if action is not UNKNOWN and not str(action).startswith("arn:"):
                yield f"{key} has {action!r}, which is no ARN"
    if inputs.get("metricQueries"):
        if inputs.get("metricName"):
            yield "metricName and metricQueries exclude each other"
        yield from _queries(inputs["metricQueries"], known)
        return
    dimensions = inputs.get("dimensions", {})
    if dimensions is UNKNOWN:
        dimensions = {}
    else:
        yield from known.problems(inputs.get("namespace"), inputs.get("metricName"), dimensions)
    yield from _statistic(inputs)
    yield from _period(inputs.get("period"), inputs.get("namespace"), periods)


def _statistic(inputs: Mapping[str, Any]) -> Iterator[str]:
    plain, extended = inputs.get("statistic"), inputs.get("extendedStatistic")
    if (plain is None) == (extended is None):
        yield "give statistic or extendedStatistic, one of them"
    elif plain is not None and plain not in STATISTICS:
        yield f"statistic is {plain!r}, not one of {', '.join(STATISTICS)}; a percentile is an extendedStatistic"
    elif extended is not None and not EXTENDED.fullmatch(extended):
        yield f"extendedStatistic is {extended!r}: give a percentile such as p95"


def _period(period: Any, namespace: Any, periods: Any) -> Iterator[str]:
    quick = () if namespace in AWS else (10, 20, 30)
    if not isinstance(period, int | float) or not (period in quick or (period > 0 and period % 60 == 0)):
        yield f"period is {period!r}: give a multiple of 60 seconds"
    elif isinstance(periods, int | float) and period < 3600 and period * periods > _DAY_S:
        yield f"{periods:g} periods of {period:g} s are more than a day"


def _queries(queries: Any, known: Known) -> Iterator[str]:
    ids = [query.get("id") for query in queries]
    yield from id_problems(ids)
    returned = [query for query in queries if query.get("returnData")]
    if len(returned) != 1:
        yield f"{len(returned)} of metricQueries have returnData, not one"
    for query in queries:
        metric = query.get("metric")
        if (metric is None) == (query.get("expression") is None):
            yield f"metricQueries {query.get('id')!r} has not one of metric and expression"
        elif metric is not None:
            yield from known.problems(metric.get("namespace"), metric.get("metricName"), metric.get("dimensions", {}))
            if metric.get("stat") not in STATISTICS and not EXTENDED.fullmatch(str(metric.get("stat"))):
                yield f"metricQueries {query.get('id')!r}: stat is {metric.get('stat')!r}"
            yield from _period(metric.get("period"), metric.get("namespace"), 1)
        else:
            yield from expression_problems(query["expression"], frozenset(ids), known)
