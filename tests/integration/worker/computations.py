"""Computations that only the worker's own tests need."""

from __future__ import annotations

import time

from services.compute import computation
from tests.integration.computations.ledger import mark


@computation
def delayed_sum(ledger: str, n: int) -> int:
    """Return a plan: the sum of n squares, each computed on the cluster."""
    from dask.delayed import delayed

    def square(i: int) -> int:
        mark(ledger, "begin", i)
        time.sleep(0.1)
        return i * i

    return delayed(sum)([delayed(square)(i) for i in range(n)])  # type: ignore[no-any-return]


@computation
def short(n: int) -> int:
    """Return n at once."""
    return n
