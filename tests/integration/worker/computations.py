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


def nap(ledger: str, n: int, seconds: float) -> int:
    """Count itself and sleep without looking up."""
    mark(ledger, "begin", n)
    time.sleep(seconds)
    mark(ledger, "end", n)
    return n


@computation(timeout=1.0)
def late_plan(ledger: str, n: int, seconds: float = 45.0) -> int:
    """Return a plan that takes longer than the timeout."""
    from dask.delayed import delayed

    return delayed(nap)(ledger, n, seconds)  # type: ignore[no-any-return]


@computation(timeout=1.0)
def late_fan(ledger: str, n: int, width: int, seconds: float = 45.0) -> int:
    """Put children on the cluster that take longer than the timeout."""
    from distributed import worker_client

    with worker_client() as client:
        futures = [client.submit(nap, ledger, n + i, seconds, pure=False, priority=10) for i in range(width)]
        return sum(int(value) for value in client.gather(futures))


@computation
def short(n: int) -> int:
    """Return n at once."""
    return n
