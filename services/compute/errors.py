"""Every error of Tidegate's own, in two trees.

TidegateError             an Exception
├── RegistrationError     a computation that cannot be served as written
├── StoreUnavailable      Redis does not answer, or is read-only, or full
├── ObjectStoreError      a large result could not be written or read
├── CodecError            a result that has no JSON form
├── ResultTooLarge        a result above the limit
└── Retry                 raised by an author: try this attempt again later

TaskStopped               a BaseException, so that a computation's own `except Exception` does not go on regardless
├── TaskCancelled         raised inside a computation whose task was cancelled or superseded
└── TaskTimeout           raised inside a computation past its deadline
"""

from __future__ import annotations


class TidegateError(Exception):
    """Base of every error that Tidegate raises on purpose, except those that stop a task."""


class RegistrationError(TidegateError):
    """A computation cannot be served as written; the message names file, function and cure."""


class StoreUnavailable(TidegateError):
    """Redis gave no answer in time or refused the write; nothing is known about the command's effect."""


class ObjectStoreError(TidegateError):
    """The object store failed; the message names the store and the key."""


class CodecError(TidegateError):
    """A value has no JSON form under its declared type."""


class ResultTooLarge(TidegateError):
    """An encoded result is above the limit.

    Args:
        size: bytes of the encoded result.
        limit: bytes allowed.
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the result has {size:,} bytes, more than the {limit:,} allowed: return less, or raise RESULT_MAX_BYTES"
        )
        self.size = size
        self.limit = limit


class Retry(TidegateError):
    """Raised by a computation to give up this attempt and be tried again, while attempts are left.

    Args:
        message: why; it becomes the task's error when no attempt is left.
        delay: seconds until the next attempt, at least; None leaves it to the backoff.
    """

    def __init__(self, message: str = "", *, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class TaskStopped(BaseException):
    """Base of what stops a running computation, as asyncio's CancelledError stops a coroutine: let it pass."""


class TaskCancelled(TaskStopped):
    """The running task was cancelled, or another attempt has taken over: stop, nothing more is stored."""


class TaskTimeout(TaskStopped):
    """The running task is past its deadline: stop, nothing more is stored."""
