"""Gathers what is asked in one tick of the loop into calls of many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

F = TypeVar("F", bound=Hashable)
Q = TypeVar("Q")
A = TypeVar("A")


class Gathered(Generic[F, Q, A]):
    """Turns single questions into calls of many.

    Args:
        call: answers a list of questions of like flags, in order.
        size: questions in one call, at most.
        calls: calls under way, at most; what arrives meanwhile waits and shares the next.
    """

    def __init__(self, call: Callable[[F, list[Q]], Awaitable[list[A]]], size: int, calls: int) -> None:
        self._call = call
        self._size = size
        self._free = calls
        self._waiting: dict[F, list[tuple[Q, asyncio.Future[A]]]] = {}
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def one(self, flags: F, question: Q) -> asyncio.Future[A]:
        """The answer to come; questions of one tick travel together."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.setdefault(flags, []).append((question, future))
        if not self._scheduled and self._free:
            self._scheduled = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._scheduled = False
        while self._waiting and self._free:
            flags, waiting = next(iter(self._waiting.items()))
            batch = waiting[: self._size]
            del waiting[: self._size]
            if not waiting:
                del self._waiting[flags]
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._answer(flags, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, flags: F, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            answers = await self._call(flags, [question for question, _ in batch])
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error) if isinstance(error, Exception) else future.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        finally:
            self._free += 1
            if self._waiting:
                self._flush()
