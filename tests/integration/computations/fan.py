"""A parent that puts children on the cluster from inside a task."""

from __future__ import annotations

from services.compute import computation
from tests.integration.computations.ledger import mark


def child(ledger: str, n: int, seconds: float) -> int:
    """Count itself, sleep, and return its number."""
    import time

    mark(ledger, "begin", n)
    time.sleep(seconds)
    mark(ledger, "end", n)
    return n


@computation
def fan_out(ledger: str, n: int, width: int, seconds: float) -> int:
    """Run children n + 1 … n + width and return the sum of what they return."""
    from distributed import worker_client

    mark(ledger, "begin", n)
    with worker_client() as client:
        futures = [client.submit(child, ledger, n + i, seconds, pure=False) for i in range(1, width + 1)]
        total = sum(int(value) for value in client.gather(futures))
    mark(ledger, "end", n)
    return total
