"""Well-behaved tasks: one line when they begin, one when they end."""

from __future__ import annotations

import os
import time

from services.compute import computation, report_progress
from tests.integration.computations.ledger import begun, mark


@computation
def counted(ledger: str, n: int, seconds: float = 0.0) -> int:
    """Sleep and return n."""
    mark(ledger, "begin", n)
    time.sleep(seconds)
    mark(ledger, "end", n)
    return n


@computation
def stepped(ledger: str, n: int, steps: int = 20, seconds: float = 0.1) -> int:
    """Report progress after each step, so that cancelling stops it."""
    mark(ledger, "begin", n)
    for step in range(steps):
        time.sleep(seconds)
        report_progress(step + 1, steps, f"step {step + 1}")
    mark(ledger, "end", n)
    return n


@computation
def ten_ms(n: int) -> int:
    """Sleep for ten milliseconds."""
    time.sleep(0.01)
    return n


@computation
def process_id(n: int = 0) -> int:
    """Return the id of the worker process."""
    return os.getpid()


@computation
def which_run(ledger: str, n: int, first: float, later: float) -> int:
    """Return the number of this run of the task, counted at its begin; the first may last longer than later ones."""
    mark(ledger, "begin", n)
    run = begun(ledger, n)
    time.sleep(first if run == 1 else later)
    mark(ledger, "end", n)
    return run
