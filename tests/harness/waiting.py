"""Waits with an end: a probe is asked until it answers, or the test fails with what it was waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T | None], what: str, *, seconds: float = 30.0, pause: float = 0.05) -> T:
    """Return the probe's first true answer; raise AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what} (last answer {answer!r})")
        time.sleep(pause)
