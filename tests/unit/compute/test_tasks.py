"""The four computations against what NumPy, pandas and arithmetic say."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask.base import is_dask_collection
from pydantic import ValidationError

from services.compute import TaskCancelled, codec, progress
from services.compute.registry import Registry, load_registry
from services.compute.tasks import fibonacci as fibonacci_module
from services.compute.tasks import monte_carlo_pi as pi_module
from services.compute.tasks.fibonacci import fibonacci
from services.compute.tasks.monte_carlo_pi import monte_carlo_pi


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture
def reports() -> Iterator[list[tuple[float, float | None]]]:
    """Collect the progress reports of the test's thread."""
    seen: list[tuple[float, float | None]] = []
    token = progress.install(lambda done, total, _: seen.append((done, total)))
    yield seen
    progress.restore(token)


def compute(registry: Registry, name: str, **parameters: object) -> Any:
    """Do what a worker does, with threads for a cluster, and return the JSON."""
    made = registry[name]
    value: Any = made.call(made.validate(parameters))
    if is_dask_collection(value):
        value = value.compute(scheduler="sync")
    return json.loads(codec.encode(value, made.result))


def test_all_four_are_there_and_described(registry: Registry) -> None:
    assert set(registry) == {"fibonacci", "monte_carlo_pi", "svd", "time_series"}
    for each in registry.values():
        assert each.summary
        assert each.parameters_schema()["properties"]
        assert each.result_schema()


# --- fibonacci


def test_fibonacci_is_exact(registry: Registry) -> None:
    a, b = 0, 1
    for n in range(10_001):
        if n < 200 or n == 10_000:
            assert fibonacci(n) == a
        a, b = b, a + b
    assert compute(registry, "fibonacci", n=10_000) == fibonacci(10_000)
    assert len(str(fibonacci(10_000))) == 2090


def test_the_largest_fibonacci_can_still_be_read_by_python(registry: Registry) -> None:
    assert len(str(compute(registry, "fibonacci", n=fibonacci_module.N_MAX))) == 4180


@pytest.mark.parametrize("n", [0, 1, 2, 24, 25, 26, 29])
def test_recursive_mode_agrees_and_reports(n: int, reports: list[tuple[float, float | None]]) -> None:
    assert fibonacci(n, "recursive") == fibonacci(n)
    assert reports[-1] == (fibonacci(n), fibonacci(n))
    assert reports == sorted(reports)


def test_recursive_mode_has_a_bound() -> None:
    with pytest.raises(ValueError, match="take n up to 40, or mode fast"):
        fibonacci(41, "recursive")


def test_fibonacci_refuses(registry: Registry) -> None:
    for body in (b'{"n": -1}', b'{"n": 20001}', b'{"n": 1.5}', b'{"n": 1, "mode": "slow"}', b"{}"):
        with pytest.raises(ValidationError):
            registry["fibonacci"].validate_json(body)


# --- monte_carlo_pi


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pi_module, "CHUNK", 1000)


def direct(samples: int, seed: int, chunk: int) -> int:
    inside = 0
    for number, start in enumerate(range(0, samples, chunk)):
        x, y = np.random.default_rng([seed, number]).random((2, min(chunk, samples - start)))
        inside += int(np.sum(x**2 + y**2 <= 1))
    return inside


@pytest.mark.usefixtures("small_chunks")
def test_pi_is_what_numpy_says(registry: Registry, reports: list[tuple[float, float | None]]) -> None:
    found = compute(registry, "monte_carlo_pi", samples=10_500, seed=3)
    assert found["inside"] == direct(10_500, 3, 1000)
    assert found["estimate"] == 4 * found["inside"] / 10_500
    assert abs(found["estimate"] - np.pi) < 5 * found["standard_error"]
    assert reports == [(done, 11.0) for done in range(1, 12)]


@pytest.mark.usefixtures("small_chunks")
def test_pi_is_the_same_on_a_cluster(reports: list[tuple[float, float | None]]) -> None:
    from distributed import Client

    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", set_as_default=False
    ) as client:
        # With one thread the parent must make room for its children.
        spread = client.submit(monte_carlo_pi, 10_500, 3, pure=False).result(timeout=60)
    assert spread == monte_carlo_pi(10_500, 3)


@pytest.mark.usefixtures("small_chunks")
def test_a_cancelled_pi_takes_its_children_along() -> None:
    from distributed import Client

    def run() -> str:
        calls: list[float] = []

        def stop(done: float, *_: object) -> None:
            calls.append(done)
            raise TaskCancelled("stop")

        token = progress.install(stop)
        try:
            monte_carlo_pi(100_000, 3)
        except TaskCancelled:
            return f"stopped after {len(calls)}"
        finally:
            progress.restore(token)
        return "went on"

    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", set_as_default=False
    ) as client:
        assert client.submit(run, pure=False).result(timeout=60) == "stopped after 1"


# --- svd


@pytest.mark.parametrize(("rows", "columns"), [(10_001, 20), (25_000, 7), (5, 8), (1, 1)])
def test_singular_values_are_what_numpy_says(registry: Registry, rows: int, columns: int) -> None:
    import dask.array as da

    found = compute(registry, "svd", rows=rows, columns=columns, rank=5, seed=1)
    matrix = (
        da.random.default_rng(1).standard_normal((rows, columns), chunks=(10_000, columns)).compute(scheduler="sync")
    )
    expected = np.linalg.svd(matrix, compute_uv=False)[:5]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_hilbert_is_what_numpy_says(registry: Registry) -> None:
    i, j = np.ogrid[:12_000, :10]
    expected = np.linalg.svd(1.0 / (i + j + 1), compute_uv=False)
    found = compute(registry, "svd", rows=12_000, columns=10, matrix="hilbert")
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_svd_returns_a_plan(registry: Registry) -> None:
    made = registry["svd"]
    assert is_dask_collection(made.call(made.validate({"rows": 2_000_000, "columns": 200})))


# --- time_series


def test_time_series_is_what_pandas_says(registry: Registry) -> None:
    import dask.datasets

    found = compute(registry, "time_series", days=3, start="2001-02-27", window="6h", seed=5)
    raw = dask.datasets.timeseries(
        "2001-02-27", "2001-03-02", freq="60s", partition_freq="1D", dtypes={"x": float, "y": float}, seed=5
    ).compute(scheduler="sync")
    windows = raw.resample("6h")
    expected = pd.DataFrame(
        {
            "x_mean": windows["x"].mean(),
            "x_std": windows["x"].std(),
            "y_mean": windows["y"].mean(),
            "y_std": windows["y"].std(),
            "count": windows["x"].count(),
        }
    )
    assert found["columns"] == list(expected.columns)
    assert found["index"] == [moment.isoformat() for moment in expected.index]
    np.testing.assert_allclose(np.array(found["data"], dtype=float), expected.to_numpy(dtype=float), rtol=1e-9)
    assert [row[-1] for row in found["data"]] == [360] * 12


def test_time_series_depends_on_its_seed_only(registry: Registry) -> None:
    one, again, other = (compute(registry, "time_series", days=1, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert registry["time_series"].validate({"days": 1}).model_dump()["start"] == dt.date(2000, 1, 1)
