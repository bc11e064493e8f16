"""Metrics as log lines in CloudWatch's embedded metric format: CloudWatch makes metrics of them, no API is called.

Each service has a table of what it emits (`EMITTED` in its `emitted.py`), which dashboards and alarms are held to. The
format: "Specification: Embedded metric format" in Amazon CloudWatch's user guide.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TextIO

import structlog

from services.compute.settings import MetricsSettings

Table = Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]
"""By metric its unit and its dimension sets."""
Value = float | Sequence[float]
Values = Mapping[str, Value]

METRICS_MAX: Final = 100
"""Metrics of one line, and values of one metric in it, at most."""

log = structlog.get_logger(__name__)


def lines(table: Table, namespace: str, dimensions: Mapping[str, str], values: Values, at: float) -> list[str]:
    """The lines, without ends, that tell these values.

    Args:
        table: what may be told.
        namespace: of CloudWatch.
        dimensions: the values of all dimensions that the table names.
        values: a number, or several that were measured; what is not finite is left out.
        at: seconds since the epoch.

    Raises:
        KeyError: the table does not have a metric, or a dimension has no value.
    """
    told = []
    for sets in dict.fromkeys(table[name][1] for name in values):
        own = {name: _finite(value) for name, value in values.items() if table[name][1] == sets}
        own = {name: measured for name, measured in own.items() if measured}
        while own:
            part = {name: own[name][:METRICS_MAX] for name in list(own)[:METRICS_MAX]}
            told.append(_line(table, namespace, sets, dimensions, part, at))
            own = {name: rest for name, measured in own.items() if (rest := measured[len(part.get(name, ())) :])}
    return told


def _line(
    table: Table,
    namespace: str,
    sets: tuple[tuple[str, ...], ...],
    dimensions: Mapping[str, str],
    part: Mapping[str, list[float]],
    at: float,
) -> str:
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(names) for names in sets],
        "Metrics": [{"Name": name, "Unit": table[name][0]} for name in part],
    }
    about = {"Timestamp": int(at * 1000), "CloudWatchMetrics": [directive]}
    named = {name: dimensions[name] for names in sets for name in names}
    told = {name: measured if len(measured) > 1 else measured[0] for name, measured in part.items()}
    return json.dumps({"_aws": about, **named, **told}, separators=(",", ":"), allow_nan=False)


def _finite(value: Value) -> list[float]:
    measured = value if isinstance(value, Sequence) else [value]
    return [round(each, 6) for each in measured if math.isfinite(each)]


class Emitter:
    """Writes one service's lines, once in each interval of the wall clock, so that no minute of a graph stays empty.

    Args:
        settings: interval, namespace, stack.
        table: what the service emits.
        stream: where lines go; default standard output.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: MetricsSettings,
        table: Table,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._table = table
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._told = self._interval()

    def _interval(self) -> int:
        return int(self._clock() // self._settings.metrics_interval)

    def wait(self) -> float:
        """Seconds until the next line is due."""
        return max(0.0, (self._told + 1) * self._settings.metrics_interval - self._clock())

    def due(self) -> bool:
        """Whether a new interval has begun."""
        return self._interval() != self._told

    def emit(self, values: Values) -> None:
        """Write the line of this interval; what goes wrong with it is logged and survived."""
        self._told = self._interval()
        settings = self._settings
        try:
            found = lines(
                self._table, settings.metrics_namespace, {"Stack": settings.metrics_stack}, values, self._clock()
            )
            self._stream.write("".join(f"{line}\n" for line in found))
            self._stream.flush()
        except Exception as error:
            log.warning("metrics could not be written", error=repr(error))


class Sample:
    """Some of the values that were measured, each with the same chance (reservoir sampling), for percentiles.

    Args:
        size: values kept at most.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._kept: list[float] = []

    def add(self, value: float) -> None:
        """Take in one value."""
        self._seen += 1
        if len(self._kept) < self._size:
            self._kept.append(value)
        elif (at := int(random.random() * self._seen)) < self._size:  # noqa: S311
            self._kept[at] = value

    def take(self) -> list[float]:
        """What was kept; the next sample begins."""
        kept, self._kept, self._seen = self._kept, [], 0
        return kept
