"""Progress that a running computation reports: written with its fence, and merged when it comes too fast.

A report that comes more than 50 ms after the last write is written at once, so that a cancelled computation stops at
its next report; the others wait for the flusher thread, which writes the latest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from services.compute.errors import StoreUnavailable
from services.compute.models import Progress

if TYPE_CHECKING:
    from services.compute.runner.attempt import Attempt

INTERVAL = 0.05
"""Seconds between two writes of one attempt's progress."""

AWAY = 5.0
"""Seconds without an attempt to write after Redis did not answer, so that a computation is not slowed down by it."""


class ProgressStore(Protocol):
    """What reporting needs of the store."""

    def progress(self, task_id: str, fence: int, value: Progress, /) -> bool:
        """Store progress; False when the fence is no longer current."""


class Reporter:
    """Takes one bundle's reports.

    Args:
        store: where they go.
        clock: monotonic seconds.
    """

    def __init__(self, store: ProgressStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: tuple[Attempt, Progress] | None = None
        self._next = 0.0

    def report(self, attempt: Attempt, done: float, total: float | None, message: str | None) -> None:
        """Take one report.

        Raises:
            TaskCancelled: the task was cancelled, or another attempt has taken over.
            TaskTimeout: its deadline has passed.
        """
        now = self._clock()
        if now >= attempt.deadline:
            attempt.timed_out = True
        attempt.check()
        with self._lock:
            self._pending = (attempt, Progress(done=done, total=total, message=message))
        if now >= self._next:
            self.write()
            attempt.check()

    def write(self) -> None:
        """Write what is pending, if anything; an attempt that lost its task is marked as cancelled."""
        with self._lock:
            pending, self._pending = self._pending, None
            now = self._clock()
            if pending is None:
                return
            self._next = now + INTERVAL
        attempt, progress = pending
        try:
            if not self._store.progress(attempt.task_id, attempt.fence, progress):
                attempt.cancelled = True
        except StoreUnavailable:
            # Progress is not worth a retry; the next report brings a newer one.
            self._next = self._clock() + AWAY

    def due(self) -> bool:
        """Whether something is pending and its time has come."""
        return self._pending is not None and self._clock() >= self._next
