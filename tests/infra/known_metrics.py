"""Metrics that exist, and expressions over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.infra.metric_tables import AWS, VALUES, Emitted
from tests.infra.wire import UNKNOWN

STATISTICS = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
EXTENDED = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(\.\d{1,10})?|100)|IQM|(PR|TM|WM|TC|TS)\(.*:.*\)")
"""Percentiles and their like."""

_ID = re.compile(r"[a-z][A-Za-z0-9_]*")


class Known:
    """All metrics that exist: one's own, and AWS's."""

    def __init__(self, emitted: Emitted) -> None:
        self._tables: Emitted = {**AWS, **emitted}

    def problems(self, namespace: Any, name: Any, dimensions: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a metric."""
        table = self._tables.get(namespace)
        if table is None:
            yield f"namespace {namespace!r} is none of {', '.join(sorted(self._tables))}"
            return
        if name not in table:
            yield f"nobody writes {namespace} {name!r}"
            return
        if frozenset(dimensions) not in table[name]:
            have = " or ".join(sorted("{" + ", ".join(sorted(each)) + "}" for each in table[name]))
            yield f"{namespace} {name} has dimensions {have}, not {{{', '.join(sorted(dimensions))}}}"
        for dimension, value in dimensions.items():
            form = VALUES.get(dimension) if namespace in AWS else None
            if value is UNKNOWN:
                continue
            if not isinstance(value, str) or not value or (form and not form.fullmatch(value)):
                cure = f"give {form.pattern}" if form else "give a name"
                yield f"{namespace} {name}: {dimension} is {value!r}: {cure}"

    def search_problems(self, namespace: str, dimensions: frozenset[str], name: str | None) -> Iterator[str]:
        """What is wrong with the metrics that a search looks for."""
        table = self._tables.get(namespace, {})
        wanted = [sets for metric, sets in table.items() if name in (None, metric)]
        if not any(dimensions in sets for sets in wanted):
            yield f"SEARCH finds no {namespace} {name or 'metric'} by {{{', '.join(sorted(dimensions))}}}"


def id_problems(ids: list[Any]) -> Iterator[str]:
    """What is wrong with the ids of metrics and expressions."""
    for name in sorted({str(name) for name in ids if ids.count(name) > 1}):
        yield f"id {name!r} is there more than once"
    for name in ids:
        if not _ID.fullmatch(str(name)):
            yield f"id {name!r} does not begin with a small letter"


_SEARCH = re.compile(r"SEARCH\(\s*(?P<quote>['\"])(?P<query>.*?)(?P=quote)", re.DOTALL)
_SCHEMA = re.compile(r"\{\s*\"?(?P<namespace>[^,}\"]+)\"?(?P<dimensions>(,[^,}]+)*)\}")
_WANTED = re.compile(r"MetricName\s*=\s*\\?\"?(?P<name>\w+)")
_FUNCTION_OR_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expression_problems(expression: str, ids: frozenset[Any], known: Known) -> Iterator[str]:
    """What is wrong with an expression: ids that nobody has, searches that find nothing."""
    for search in _SEARCH.finditer(expression):
        schema, wanted = _SCHEMA.search(search["query"]), _WANTED.search(search["query"])
        if schema is None:
            yield f"SEARCH {search['query']!r} names no namespace and dimensions: begin with {{namespace,dimension}}"
            continue
        dimensions = frozenset(each.strip(' "') for each in schema["dimensions"].split(",") if each.strip())
        yield from known.search_problems(schema["namespace"], dimensions, wanted["name"] if wanted else None)
    # Functions and keywords are in capitals, ids begin with a small letter; what is quoted is neither.
    for name in sorted(set(_FUNCTION_OR_NAME.findall(re.sub(r"(['\"]).*?\1", "", expression)))):
        if _ID.fullmatch(name) and name not in ids:
            yield f"expression {expression!r} refers to {name!r}, which no metric has as id"
