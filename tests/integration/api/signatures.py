"""Ordinary computations, as authors write them: by their signatures, nothing strict, and each ends in its own way."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from services.compute import Frame, computation, report_progress


@computation(version="1")
def mixture(
    n: Annotated[int, Field(ge=0, le=1000)],
    values: Annotated[list[float], Field(max_length=3)],
    *,
    principal: Annotated[float, Field(gt=0)] = 1.0,
    shift: float = 0.0,
    mode: Literal["fast", "exact"] = "fast",
    level: Literal[1, 2] = 1,
    double: bool = False,
    day: dt.date = dt.date(2024, 2, 29),
    labels: frozenset[int] = frozenset(),
    limit: int | None = None,
) -> dict[str, float]:
    """Return numbers, among them NaN and infinities."""
    return {"sum": n + sum(values) + shift, "principal": principal, day.isoformat(): level * (1 + double)}


@computation(version="1")
def table(rows: Annotated[int, Field(ge=1, le=3)]) -> Frame:
    """Return a small table."""
    import pandas as pd

    return pd.DataFrame({"x": [1.5, float("nan"), float("inf")][:rows], "name": list("abc")[:rows]})


@computation(version="1")
def large(n: Annotated[int, Field(ge=0, le=100)]) -> list[int]:
    """Return more than a record keeps."""
    return [n] * 2000


@computation(version="1")
def failing(reason: str) -> int:
    """Fail, with the client's own words."""
    raise ValueError(reason)


@computation(version="1")
def steps(n: Annotated[int, Field(ge=0, le=5)]) -> int:
    """Report progress."""
    import time

    for done in range(n):
        report_progress(done + 1, n, f"step {done + 1}")
        time.sleep(0.02)
    return n
