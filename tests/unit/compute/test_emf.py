"""Metrics as log lines: what CloudWatch reads in them, when they are written, and that nothing stops their writer."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.compute.emf import Emitter, Sample, Table, Values, lines
from services.compute.settings import MetricsSettings
from tests.harness.emf import NAMESPACE, Series, read

NOW = 1_800_000_000.25
TABLE: Table = {
    "Requests": ("Count", (("Stack",),)),
    "Seconds": ("Seconds", (("Stack",),)),
    "Depth": ("Count", (("Stack", "Queue"), ("Stack",))),
}
DIMENSIONS = {"Stack": "prod", "Queue": "batch"}
STACK = (("Stack", "prod"),)
numbers = st.floats(-1e9, 1e9) | st.integers(0, 10**9)


def told(values: Values, table: Table = TABLE) -> list[Series]:
    found = lines(table, "Tidegate", DIMENSIONS, values, NOW)
    return [read(line, table, NOW) for line in found]


def test_a_line() -> None:
    (line,) = lines(TABLE, "Tidegate", DIMENSIONS, {"Requests": 3, "Seconds": [0.5, 0.25]}, NOW)
    assert line == (
        '{"_aws":{"Timestamp":1800000000250,"CloudWatchMetrics":[{"Namespace":"Tidegate","Dimensions":[["Stack"]],'
        '"Metrics":[{"Name":"Requests","Unit":"Count"},{"Name":"Seconds","Unit":"Seconds"}]}]},'
        '"Stack":"prod","Requests":3,"Seconds":[0.5,0.25]}'
    )


def test_other_dimensions_are_another_line() -> None:
    first, second = told({"Requests": 1, "Depth": 7})
    assert first == {("Requests", STACK): [1]}
    assert second == {("Depth", (*STACK, ("Queue", "batch"))): [7], ("Depth", STACK): [7]}


@given(st.lists(numbers, max_size=350), st.lists(numbers, max_size=150))
def test_every_value_is_told_once(seconds: list[float], requests: list[float]) -> None:
    found: dict[str, list[float]] = {"Seconds": [], "Requests": []}
    for part in told({"Seconds": seconds, "Requests": requests}):
        for (name, _), values in part.items():
            found[name] += values
    assert found["Seconds"] == pytest.approx(seconds, abs=1e-6)
    assert found["Requests"] == pytest.approx(requests, abs=1e-6)


def test_more_metrics_than_a_line_holds() -> None:
    table: Table = {f"Metric{n}": ("Count", (("Stack",),)) for n in range(250)}
    parts = told({name: [1, 2] for name in table}, table)
    assert [len(part) for part in parts] == [100, 100, 50]


def test_what_is_no_number_is_left_out() -> None:
    nan, infinite = float("nan"), float("inf")
    assert told({"Requests": nan, "Seconds": [], "Depth": infinite}) == []
    assert told({"Requests": nan, "Seconds": [1.0, nan, infinite]}) == [{("Seconds", STACK): [1.0]}]


def test_what_the_table_does_not_have() -> None:
    with pytest.raises(KeyError):
        told({"Unknown": 1})


class Clock:
    def __init__(self) -> None:
        self.now = 600.0

    def __call__(self) -> float:
        return self.now


def settings(**changes: object) -> MetricsSettings:
    return MetricsSettings.model_validate({"metrics_emf": True, "metrics_stack": "prod", **changes})


def test_one_line_for_each_interval_of_the_clock() -> None:
    clock, out = Clock(), io.StringIO()
    emitter = Emitter(settings(metrics_interval=60), TABLE, out, clock)
    written = []
    for _ in range(400):
        clock.now += 7.3
        if emitter.due():
            emitter.emit({"Requests": 1})
            assert not emitter.due()
            assert 0 < emitter.wait() <= 60
            written.append(int(clock.now // 60))
    assert written == list(range(written[0], written[-1] + 1)), "a minute without a value would look like silence"
    assert out.getvalue().count("\n") == len(written)


def test_the_settings_reach_the_line() -> None:
    clock, out = Clock(), io.StringIO()
    emitter = Emitter(settings(metrics_namespace="Mine/Own", metrics_stack="a.b/c-1"), TABLE, out, clock)
    emitter.emit({"Requests": 1})
    line = out.getvalue().rstrip("\n")
    assert '"Namespace":"Mine/Own"' in line
    assert read(line, TABLE, clock.now) == {("Requests", (("Stack", "a.b/c-1"),)): [1]}


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


def test_nothing_stops_the_writer() -> None:
    clock = Clock()
    Emitter(settings(), TABLE, Broken(), clock).emit({"Requests": 1})
    Emitter(settings(), TABLE, io.StringIO(), clock).emit({"Unknown": 1})


def test_a_sample_keeps_all_of_few_and_some_of_many() -> None:
    sample = Sample(100)
    for value in range(100):
        sample.add(value)
    assert sample.take() == list(range(100))
    assert sample.take() == []
    for value in range(10_000):
        sample.add(value)
    kept = sample.take()
    assert len(kept) == 100
    assert 3_000 < sum(kept) / 100 < 7_000, "early and late values have the same chance"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metrics_namespace", "AWS/Mine"),
        ("metrics_namespace", "a b"),
        ("metrics_stack", ""),
        ("metrics_stack", ":x"),
        ("metrics_interval", "0.5"),
    ],
)
def test_settings_that_cloudwatch_would_refuse(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{name: value})
    assert NAMESPACE.fullmatch(settings().metrics_namespace)


@pytest.mark.parametrize("service", ["api", "autoscaler"])
def test_tables_are_light(service: str) -> None:
    """Programs that have none of the services' libraries read them."""
    script = (
        f"import sys; before = set(sys.modules); from services.{service}.emitted import EMITTED; assert EMITTED;"
        "print(sorted({name.partition('.')[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "['services']"
