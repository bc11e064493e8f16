"""What the bench measures, started as it is deployed: the test harness's stack, and the bare reference beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.figures import Target
from tests.harness.process import Managed, free_port
from tests.harness.stack import ROOT, Stack
from tests.harness.waiting import eventually


@contextmanager
def running(folder: Path) -> Iterator[Target]:
    """One API process, one worker process with two threads, and the bare endpoint; all ended on leaving."""
    stack = Stack(
        folder / "stack", {"COMPUTE_MODULES": "bench.computations", "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"}
    )
    port = free_port()
    bare = Managed("bare", [sys.executable, "-m", "bench.bare", str(port)], stack.environment, folder)
    try:
        stack.start()
        bare.start()
        eventually(lambda: _answers(port), "the bare endpoint answers")
        yield Target(stack.apis[0].port, port, stack.environment["SCHEDULER_ADDRESS"])
    except BaseException:
        print(stack.logs(), file=sys.stderr)
        raise
    finally:
        if bare.running:
            bare.terminate()
        stack.stop()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/docs", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
