"""The stack at work: starts its parts, keeps them running, ends them in order.

Valkey starts first (10 ms) and ends last; the other parts start together, because each spends most of its start
importing, and end from the front: API, workers, scheduler.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.local.directory import DataDirectory
from services.local.errors import LocalError, PartFailed
from services.local.guard import Guard
from services.local.parts import Plan
from services.local.process import Part, PartProcess, describe_exit

WATCH_EVERY: Final = 0.2  # seconds
DEATHS_LIMIT: Final = 5  # of one part within DEATHS_WINDOW: then it is broken, not unlucky
DEATHS_WINDOW: Final = 60.0  # seconds
BACKOFF_MAX: Final = 8.0  # seconds


@dataclass(slots=True)
class Watched:
    """A part's process and when it died lately (monotonic seconds)."""

    process: PartProcess
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_LIMIT))
    restart_at: float | None = None


class Stack:
    """All parts of one data directory.

    Args:
        plan: what to run.
        directory: locked; logs go there.
        say: tells the person at the terminal one thing.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plan: Plan,
        directory: DataDirectory,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._clock = clock
        self._hurry = False
        self._guard = Guard(keep_open=[directory.lock])
        self._server = self._watched([plan.server] if plan.server else [], directory)
        self._others = self._watched(plan.parts, directory)

    def _watched(self, parts: Sequence[Part], directory: DataDirectory) -> list[Watched]:
        return [Watched(PartProcess(part, directory.logs / f"{part.name}.log", self._guard)) for part in parts]

    async def start(self, limit: float) -> None:
        """Start every part and return when all are ready; each has `limit` seconds.

        Raises:
            PartFailed: one is not; the message ends with its log.
        """
        for group in (self._server, self._others):
            for watched in group:
                watched.process.start()
            try:
                async with asyncio.TaskGroup() as tasks:
                    for watched in group:
                        tasks.create_task(watched.process.wait_ready(limit))
            except* LocalError as failures:
                first: BaseException = failures
                while isinstance(first, BaseExceptionGroup):
                    first = first.exceptions[0]
                raise first from None

    async def watch(self) -> None:
        """Restart what dies, for as long as the stack runs.

        Raises:
            PartFailed: a part dies again and again, or the guard was killed.
        """
        while True:
            if not self._guard.alive():
                raise PartFailed("the stack's guard process was killed, and without it nothing would end the parts")
            for watched in (*self._server, *self._others):
                self._look_after(watched)
            await asyncio.sleep(WATCH_EVERY)

    def _look_after(self, watched: Watched) -> None:
        process, now = watched.process, self._clock()
        status = process.poll()
        if status is not None:
            if status == os.EX_CONFIG:
                raise PartFailed(f"{process.part.name} cannot work as it is set\n{process.tail()}")
            watched.deaths.append(now)
            if len(watched.deaths) == DEATHS_LIMIT and now - watched.deaths[0] < DEATHS_WINDOW:
                raise PartFailed(
                    f"{process.part.name} ended {DEATHS_LIMIT} times within {DEATHS_WINDOW:.0f} s "
                    f"(lastly: {describe_exit(status)})\n{process.tail()}"
                )
            lately = sum(now - death < DEATHS_WINDOW for death in watched.deaths)
            pause = min(BACKOFF_MAX, 0.25 * 2.0**lately)
            watched.restart_at = now + pause
            self._say(f"{process.part.name} ended ({describe_exit(status)}), starting again in {pause:g} s")
        elif watched.restart_at is not None and now >= watched.restart_at:
            watched.restart_at = None
            process.start()
        process.trim_log()

    async def stop(self) -> None:
        """End every part in order; what does not end in time is killed. Afterwards no process is left."""
        for watched in (*self._others, *self._server):
            if not await watched.process.stop(lambda: self._hurry):
                self._say(f"{watched.process.part.name} was killed: it did not end by itself in time")
        self._guard.close()

    def hurry(self) -> None:
        """Make `stop` kill instead of wait."""
        self._hurry = True
