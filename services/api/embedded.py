"""The API's metrics for CloudWatch: counted between two lines, written by a loop beside the HTTP side.

What is true of the whole stack (queues, Redis) is told by one process alone, the one that reconciles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from services.api.responses import Header
from services.compute.emf import Emitter, Sample
from services.compute.errors import StoreUnavailable
from services.compute.store.aio import AsyncStore

SAMPLE_MAX = 500
"""Times of requests in one interval, at most: five lines."""
ANSWER_S = 5.0
"""How long Redis may take to be looked at."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Window:
    """What the middleware counts between two lines."""

    requests: int = 0
    errors: int = 0
    seconds: Sample = field(default_factory=lambda: Sample(SAMPLE_MAX))

    def request(self, status: int, seconds: float, *, held: bool) -> None:
        """Count one answered request; the time of one that was held on purpose says nothing."""
        self.requests += 1
        self.errors += status >= 500
        if not held:
            self.seconds.add(seconds)

    def take(self) -> dict[str, float | Sequence[float]]:
        """The metrics of what was counted; counting begins anew."""
        found: dict[str, float | Sequence[float]] = {
            "Requests": self.requests,
            "Errors5xx": self.errors,
            "RequestSeconds": self.seconds.take(),
        }
        self.requests = self.errors = 0
        return found


def held(headers: Sequence[Header]) -> bool:
    """Whether the answer with these headers takes as long as its client wished: a wait that was asked for, a stream."""
    return any(
        name == b"preference-applied" or (name == b"content-type" and value.startswith(b"text/event-stream"))
        for name, value in headers
    )


@dataclass(frozen=True, slots=True)
class Around:
    """What the loop may ask of its process.

    Attributes:
        scheduler: whether it is connected to the Dask scheduler.
        alone: whether it speaks for the whole stack.
    """

    scheduler: Callable[[], bool]
    alone: Callable[[], bool]


class Embedded:
    """One process's metrics.

    Args:
        emitter: writes them.
        store: Redis.
        window: what was counted.
        around: None in a process that neither dispatches nor reconciles.
    """

    def __init__(self, emitter: Emitter, store: AsyncStore, window: Window, around: Around | None) -> None:
        self._emitter = emitter
        self._store = store
        self._window = window
        self._around = around

    async def run(self) -> None:
        """Write lines until cancelled, whatever goes wrong."""
        try:
            while True:
                await asyncio.sleep(self._emitter.wait() + 0.001)
                try:
                    self._emitter.emit(await self.measure())
                except Exception:
                    log.exception("metrics could not be measured; it goes on")
                    await asyncio.sleep(1.0)
        finally:
            self._emitter.emit(self._window.take())

    async def measure(self) -> dict[str, float | Sequence[float]]:
        """The metrics of the interval that has just ended."""
        found = self._window.take()
        if self._around is not None:
            found["SchedulerUp"] = float(self._around.scheduler())
        try:
            async with asyncio.timeout(ANSWER_S):
                vitals = await self._store.vitals()
        except (StoreUnavailable, TimeoutError):
            found["StoreUp"] = 0.0
            return found
        found["StoreUp"] = 1.0
        if self._around is not None and self._around.alone():
            depth = vitals.depth
            found |= {
                "QueueDepth": depth.waiting,
                "QueueInteractive": depth.interactive,
                "QueueBatch": depth.batch,
                "QueueDelayed": depth.delayed,
                "QueueAge": vitals.oldest_ms / 1000,
                "InFlight": depth.flight,
            }
            if vitals.memory_max:
                found["RedisMemoryShare"] = 100 * vitals.memory / vitals.memory_max
        return found
