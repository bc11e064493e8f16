"""Statistics over generated time series, on dask.dataframe."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from services.compute import Frame, computation

EVERY = "60s"
"""Distance of two measurements."""


@computation
def time_series(
    days: Annotated[int, Field(ge=1, le=3_660)],
    start: dt.date = dt.date(2000, 1, 1),
    window: Literal["1h", "6h", "1D"] = "1D",
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Same seed, same measurements")] = 0,
) -> Frame:
    """Summarise measurements of two sensors, one a minute, by window of time.

    The measurements are generated, day by day, from the seed. The result has one row a window: mean, standard
    deviation of `x` and `y`, and their count.
    """
    import dask.datasets

    end = start + dt.timedelta(days=days)
    frame = dask.datasets.timeseries(
        start.isoformat(), end.isoformat(), freq=EVERY, partition_freq="1D", dtypes={"x": float, "y": float}, seed=seed
    )
    frame = frame.reset_index()
    frame["window"] = frame["timestamp"].dt.floor(window)
    return frame.groupby("window", sort=True).agg(
        x_mean=("x", "mean"),
        x_std=("x", "std"),
        y_mean=("y", "mean"),
        y_std=("y", "std"),
        count=("x", "count"),
    )
