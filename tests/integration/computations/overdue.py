"""Tasks that go past their timeout."""

from __future__ import annotations

import time

from services.compute import computation, report_progress
from services.compute.errors import TaskCancelled
from tests.integration.computations.ledger import begun, mark


@computation(timeout=1.0)
def sleeper(ledger: str, n: int, seconds: float = 30.0) -> int:
    """Sleep without ever reporting."""
    mark(ledger, "begin", n)
    time.sleep(seconds)
    mark(ledger, "end", n)
    return n


@computation(timeout=1.0)
def holder(ledger: str, n: int, seconds: int = 20) -> int:
    """Sleep in C without giving up the interpreter's lock: no other thread of the process runs."""
    import ctypes

    mark(ledger, "begin", n)
    ctypes.PyDLL(None).sleep(seconds)
    mark(ledger, "end", n)
    return n


@computation(timeout=2.0)
def frozen(ledger: str, n: int, first: float, later: float) -> int:
    """Return the number of this run, as `which_run` does, under a timeout."""
    mark(ledger, "begin", n)
    run = begun(ledger, n)
    time.sleep(first if run == 1 else later)
    mark(ledger, "end", n)
    return run


@computation
def stubborn(ledger: str, n: int, first: float, later: float) -> int:
    """Return the number of this run; it goes on, reports and returns even when it is told that it was cancelled."""
    mark(ledger, "begin", n)
    run = begun(ledger, n)
    time.sleep(first if run == 1 else later)
    try:
        report_progress(run, 2, f"run {run}")
    except TaskCancelled:
        mark(ledger, "told", n)
    mark(ledger, "end", n)
    return run
