"""Reads metrics out of log lines as CloudWatch does, and refuses what CloudWatch would.

The rules are those of "Specification: Embedded metric format" in Amazon CloudWatch's user guide, and of PutMetricData.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from services.compute.emf import Table

_SIZES = [f"{scale}{size}" for size in ("bytes", "bits") for scale in ("", "Kilo", "Mega", "Giga", "Tera")]
_SIZES = [size.capitalize() for size in _SIZES]
UNITS = frozenset(
    ["Seconds", "Milliseconds", "Microseconds", "Percent", "Count", "Count/Second", "None"]
    + [unit for size in _SIZES for unit in (size, f"{size}/Second")]
)
NAMESPACE = re.compile(r"[A-Za-z0-9._/#:-]{1,255}")
LINE_MAX = 256 * 1024
DAY_MS = 86_400_000
Series = dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]


def read(line: str, table: Table, at: float | None = None) -> Series:
    """The measured values of one line, by metric and dimensions; AssertionError where the table says something else."""
    assert "\n" not in line
    assert len(line.encode()) <= LINE_MAX
    root = json.loads(line)
    about = root["_aws"]
    assert set(about) == {"Timestamp", "CloudWatchMetrics"}
    assert type(about["Timestamp"]) is int
    now = 1000 * (time.time() if at is None else at)
    assert -14 * DAY_MS < about["Timestamp"] - now < DAY_MS / 12, "CloudWatch takes no such time"
    found: Series = {}
    assert about["CloudWatchMetrics"]
    for directive in about["CloudWatchMetrics"]:
        found |= _directive(directive, root, table)
    return found


def _directive(directive: dict[str, Any], root: dict[str, Any], table: Table) -> Series:
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert NAMESPACE.fullmatch(directive["Namespace"])
    assert directive["Dimensions"]
    for names in directive["Dimensions"]:
        assert len(names) <= 30
        for name in names:
            assert 1 <= len(name) <= 250
            assert isinstance(root[name], str)
            assert 1 <= len(root[name]) <= 1024
    assert 1 <= len(directive["Metrics"]) <= 100
    found: Series = {}
    for metric in directive["Metrics"]:
        assert set(metric) == {"Name", "Unit"}
        name, unit = metric["Name"], metric["Unit"]
        assert unit in UNITS
        assert table[name] == (unit, tuple(tuple(names) for names in directive["Dimensions"]))
        values = root[name] if isinstance(root[name], list) else [root[name]]
        assert 1 <= len(values) <= 100
        assert all(type(value) in (int, float) and math.isfinite(value) for value in values), values
        for names in directive["Dimensions"]:
            found[name, tuple((key, root[key]) for key in names)] = values
    return found


def read_all(lines: Iterable[str], table: Table) -> dict[str, list[float]]:
    """All values by metric, out of a log in which other lines stand too; of tables whose one dimension is the stack."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if '"_aws"' in line:
            for (name, _), values in read(line, table).items():
                found[name] += values
    return dict(found)
