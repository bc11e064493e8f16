"""Short tasks that travel in bundles, and can kill their process or hold up the bundle."""

from __future__ import annotations

import os
import signal
import time
from typing import Literal

from services.compute import computation, report_progress
from tests.integration.computations.ledger import mark


@computation(max_attempts=3)
def mate(ledger: str, n: int, mode: Literal["work", "kill", "hold"] = "work", milliseconds: float = 4.0) -> int:
    """Work for a moment; `kill` kills the process, `hold` goes on for 20 s, reporting."""
    return _work(ledger, n, mode, milliseconds)


@computation(max_attempts=1)
def mate_once(ledger: str, n: int, mode: Literal["work", "kill"] = "work", milliseconds: float = 4.0) -> int:
    """As `mate`, with one attempt."""
    return _work(ledger, n, mode, milliseconds)


def _work(ledger: str, n: int, mode: str, milliseconds: float) -> int:
    mark(ledger, "begin", n)
    time.sleep(milliseconds / 1000)
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hold":
        for step in range(200):
            time.sleep(0.1)
            report_progress(step, 200)
    mark(ledger, "end", n)
    return n
