"""The example computations, asked for over HTTP and checked against what NumPy, pandas and arithmetic say."""

from __future__ import annotations

import math
from typing import Any

import dask.datasets
import numpy as np
import pandas as pd
import pytest

from tests.harness.client import Json
from tests.harness.fixtures import module_stack
from tests.harness.stack import Stack

stack = module_stack(processes=2, threads=1, environment={"COMPUTE_MODULES": "services.compute.tasks"})


def compute(stack: Stack, name: str, parameters: Json) -> Any:
    """Return the result, by a POST that hits and by the result route; both must agree."""
    client = stack.client()
    client.done([client.submit(name, parameters)], seconds=90)
    answer = client.post(name, parameters)
    assert answer.status_code == 200, answer.text[:2000]
    body = answer.json()
    assert body["state"] == "DONE"
    assert body["attempts"] == 1
    assert client.value(body["task_id"]) == body["result"]
    return body["result"]


def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


@pytest.mark.parametrize(
    ("n", "mode"), [(0, "fast"), (1, "fast"), (10, "fast"), (10_000, "fast"), (0, "recursive"), (26, "recursive")]
)
def test_fibonacci_is_exact(stack: Stack, n: int, mode: str) -> None:
    assert compute(stack, "fibonacci", {"n": n, "mode": mode}) == fibonacci(n)


def test_pi_fans_out_over_the_cluster_and_reports(stack: Stack) -> None:
    samples, seed = 3_500_000, 7
    found = compute(stack, "monte_carlo_pi", {"samples": samples, "seed": seed})
    inside = 0
    for number, start in enumerate(range(0, samples, 1_000_000)):
        points = np.random.default_rng([seed, number]).random((2, min(1_000_000, samples - start)))
        inside += int((np.hypot(points[0], points[1]) <= 1).sum())
    assert abs(found["inside"] - inside) <= 1  # hypot and a sum of squares may differ in the last digit
    assert found["samples"] == samples
    assert abs(found["estimate"] - math.pi) < 5 * found["standard_error"]
    task_id = stack.client().submit("monte_carlo_pi", {"samples": samples, "seed": seed})
    progress = stack.client().get(task_id)["progress"]
    assert (progress["done"], progress["total"]) == (4, 4)


def test_svd_agrees_with_numpy(stack: Stack) -> None:
    rows, columns, rank = 25_000, 8, 4
    found = compute(stack, "svd", {"rows": rows, "columns": columns, "rank": rank, "matrix": "hilbert"})
    matrix = 1.0 / (np.arange(rows)[:, None] + np.arange(columns)[None, :] + 1)
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False)[:rank], rtol=1e-9)


def test_time_series_agree_with_pandas(stack: Stack) -> None:
    found = compute(stack, "time_series", {"days": 3, "window": "6h", "seed": 5})
    frame = pd.DataFrame(found["data"], columns=found["columns"], index=pd.to_datetime(found["index"]))
    raw = dask.datasets.timeseries(
        "2000-01-01", "2000-01-04", freq="60s", partition_freq="1D", dtypes={"x": float, "y": float}, seed=5
    ).compute()
    grouped = raw.groupby(raw.index.floor("6h"))
    assert len(frame) == 12
    assert list(pd.DatetimeIndex(frame.index).tz_localize(None)) == list(grouped.size().index)
    for name in ("x", "y"):
        np.testing.assert_allclose(frame[f"{name}_mean"].to_numpy(float), grouped[name].mean(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(frame[f"{name}_std"].to_numpy(float), grouped[name].std(), rtol=1e-9)


def test_parameters_out_of_range_are_refused_with_their_place(stack: Stack) -> None:
    answer = stack.client().post("fibonacci", {"n": -1})
    assert answer.status_code == 422
    assert [error["loc"][-1] for error in answer.json()["errors"]] == ["n"]
    assert stack.client().post("fibonacci", {"n": 1, "m": 2}).status_code == 422


def test_openapi_shows_the_real_models(stack: Stack) -> None:
    listed = stack.client().http.get("/api/v1/computations").json()["computations"]
    assert {entry["name"] for entry in listed} == {"fibonacci", "monte_carlo_pi", "svd", "time_series"}
