"""Long work on the event loop, cut into slices that leave room for others."""

from __future__ import annotations

import asyncio
from time import perf_counter

SLICE_SECONDS = 0.005


class Slices:
    """Yields to the event loop whenever a slice is used up: `await slices.rest()` in a loop."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + SLICE_SECONDS

    @property
    def due(self) -> bool:
        """Whether it is time to rest; costs less than awaiting `rest` each time."""
        return perf_counter() > self._end

    async def rest(self) -> None:
        """Let everything else run once."""
        await asyncio.sleep(0)
        self._end = perf_counter() + SLICE_SECONDS
