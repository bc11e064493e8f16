"""What became of an attempt that raised: a failure to keep, or a loss that is no fault of the task.

Pure: exceptions in, words out.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import traceback
from collections.abc import Iterator

from services.compute.models import TaskError

MESSAGE_MAX = 2048
"""Bytes of an error message that a record keeps."""

_LOSS_NAMES = frozenset(
    {"CommClosedError", "FutureCancelledError", "FuturesCancelledError", "KilledWorker", "ClosedClientError"}
)


def shorten(text: str, limit: int = MESSAGE_MAX) -> str:
    """Cut a text to `limit` bytes of UTF-8, and say so."""
    # Surrogates cannot be encoded, and an exception's message may hold anything.
    encoded = text[: limit + 1].encode("utf-8", "replace")
    if len(encoded) <= limit and len(text) <= limit:
        return encoded.decode()
    mark = f"… ({len(text):,} characters)"
    return encoded[: limit - len(mark.encode())].decode("utf-8", "ignore") + mark


def describe(error: BaseException) -> TaskError:
    """The error as a client sees it: the exception's class and its message, cut to size."""
    try:
        message = str(error)
    except Exception as broken:
        message = f"(its message cannot be read: {type(broken).__name__})"
    return TaskError(type=shorten(type(error).__name__, 200), message=shorten(message or "(no message)"))


def where(error: BaseException) -> str:
    """File, line and function that raised, for the log; empty when unknown."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it or was under way when it came, the latest first, at most 10."""
    current: BaseException | None = error
    for _ in range(10):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def lost_connection(error: BaseException) -> bool:
    """Whether the error looks like a scheduler, or a connection to it, that went away under the computation."""
    for each in chain(error):
        if isinstance(each, (asyncio.CancelledError, concurrent.futures.CancelledError, ConnectionError)):
            return True
        if type(each).__name__ in _LOSS_NAMES and type(each).__module__.startswith("distributed"):
            return True
        if isinstance(each, RuntimeError) and "after shutdown" in str(each)[:200]:
            return True
        if isinstance(each, OSError) and "Timed out trying to connect" in str(each)[:200]:
            return True
    return False
