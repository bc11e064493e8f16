"""Singular values of a tall matrix, on dask.array; returns a Dask collection, which the runner computes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.compute import Array, computation

BLOCK = 10_000
"""Rows of a block."""


@computation
def svd(
    rows: Annotated[int, Field(ge=1, le=2_000_000)],
    columns: Annotated[int, Field(ge=1, le=200)],
    rank: Annotated[int, Field(ge=1, le=200, description="How many singular values, the largest first")] = 10,
    matrix: Literal["normal", "hilbert"] = "normal",
    seed: Annotated[int, Field(ge=0, lt=2**64, description="Of the normal matrix: same seed, same matrix")] = 0,
) -> Array:
    """Compute the largest singular values of a matrix, exactly up to rounding.

    `normal` has independent standard normal entries; for many rows its singular values come close to
    sqrt(rows) ± sqrt(columns). `hilbert` has the entries 1 / (i + j + 1), whose singular values fall off fast.
    """
    import dask.array as da

    if matrix == "normal":
        tall = da.random.default_rng(seed).standard_normal((rows, columns), chunks=(BLOCK, columns))
    else:
        row, column = da.arange(rows, chunks=BLOCK), da.arange(columns, chunks=columns)
        tall = 1.0 / (row[:, None] + column[None, :] + 1)
    _, values, _ = da.linalg.svd(tall)
    return values[:rank]
