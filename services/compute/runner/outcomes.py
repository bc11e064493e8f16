"""From what a computation returned or raised to what is stored about it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from services.compute import codec
from services.compute.errors import CodecError, ObjectStoreError, ResultTooLarge, Retry, TaskCancelled, TaskTimeout
from services.compute.models import State, TaskError
from services.compute.runner.failures import describe, lost_connection, shorten, where
from services.compute.runner.outbox import Return
from services.compute.store.types import Charge, Finished, Handback

if TYPE_CHECKING:
    from services.compute.registry import Computation
    from services.compute.runner.attempt import Attempt

RETRY_DELAY_MAX = 60.0
"""Longest pause before the next attempt that the backoff chooses by itself, in seconds."""

log = structlog.get_logger(__name__)


OBJECT_TTL_MARGIN = 300.0
"""Seconds that an object outlives the record that refers to it."""


class Objects(Protocol):
    """What the runner needs of an object store; its methods raise ObjectStoreError."""

    def put(self, key: str, data: bytes, ttl: float) -> str:
        """Keep an object for `ttl` seconds; its reference."""

    def delete(self, key: str) -> None:
        """Forget an object."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of results.

    Attributes:
        inline: bytes of a result that the record itself keeps; larger ones go to the object store.
        result: bytes of the largest result that is kept at all.
    """

    inline: int = 256 * 1024
    result: int = 64 * 1024 * 1024


class Outcomes:
    """Makes the outcome of an attempt.

    Args:
        objects: where large results go; None when there is no object store, and they fail.
        limits: sizes.
        scheduler_lost: whether the calling thread's Dask worker has lost its scheduler; may take a moment.
    """

    def __init__(self, objects: Objects | None, limits: Limits, scheduler_lost: Callable[[], bool]) -> None:
        self._objects = objects
        self._limits = limits
        self._scheduler_lost = scheduler_lost

    def done(self, attempt: Attempt, computation: Computation, value: object) -> Finished:
        """The outcome of a value.

        Raises:
            CodecError: the value has no JSON form.
            ResultTooLarge: its JSON is above the limit, or above what fits a record when there is no object store.
            ObjectStoreError: it could not be written.
        """
        data = codec.encode(value, computation.result)
        size = len(data)
        ttl_ms = int(computation.result_ttl * 1000)
        if size <= self._limits.inline:
            return Finished(attempt.task_id, attempt.fence, State.DONE, ttl_ms, data)
        if size > self._limits.result:
            raise ResultTooLarge(size, self._limits.result)
        if self._objects is None:
            raise ResultTooLarge(size, self._limits.inline)
        # The fence makes the name this attempt's own: a superseded one cannot overwrite its successor's result.
        reference = self._objects.put(
            f"{attempt.task_id}/{attempt.fence}", data, computation.result_ttl + OBJECT_TTL_MARGIN
        )
        return Finished(attempt.task_id, attempt.fence, State.DONE, ttl_ms, None, reference)

    def raised(
        self, attempt: Attempt, computation: Computation, dispatch: str, error: BaseException
    ) -> Finished | Return | None:
        """The outcome of an exception; None when the attempt lost its task and has nothing more to say."""
        if isinstance(error, TaskCancelled) and (attempt.cancelled or attempt.settled):
            return None
        if isinstance(error, TaskTimeout):
            return timed_out(attempt, computation)
        back = self._tried_again(attempt, computation, dispatch, error)
        if back is not None:
            log.info(
                "task goes back to the queue",
                task_id=attempt.task_id,
                charge=str(back.charge),
                error=type(error).__name__,
                message=shorten(str(error), 300),
            )
            return back
        reason = _reason(error)
        log.warning(
            "task failed",
            task_id=attempt.task_id,
            error=reason.type,
            message=shorten(reason.message, 300),
            where=where(error),
        )
        return failed(attempt, computation, reason)

    def _tried_again(
        self, attempt: Attempt, computation: Computation, dispatch: str, error: BaseException
    ) -> Return | None:
        """Terms on which the task goes back into its queue; None when it has simply failed."""
        charge, delay = Charge.RETRY, None
        if isinstance(error, Retry):
            delay = error.delay
        elif isinstance(error, ObjectStoreError):
            pass
        elif lost_connection(error):
            # A scheduler that went away is nobody's fault. The same errors without that may be the code's own, and
            # going back for nothing would go on for ever.
            if self._scheduler_lost():
                charge, delay = Charge.FREE, 0.5
        else:
            return None
        return Return(
            (Handback(attempt.task_id, dispatch),),
            charge,
            delay_ms=_delay_ms(attempt, delay),
            max_attempts=computation.max_attempts,
            reason=describe(error),
            result_ttl_ms=int(computation.result_ttl * 1000),
        )


def _delay_ms(attempt: Attempt, delay: float | None) -> int:
    """Milliseconds until the next attempt: at least `delay` seconds, or a backoff that doubles; with jitter."""
    if delay is None:
        chosen: float = min(RETRY_DELAY_MAX, 2.0 ** min(attempt.attempts - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
    else:
        chosen = max(0.0, delay) * random.uniform(1.0, 1.1)  # noqa: S311
    return int(chosen * 1000)


def _reason(error: BaseException) -> TaskError:
    if isinstance(error, ResultTooLarge):
        return TaskError(type="result_too_large", message=shorten(str(error)))
    if isinstance(error, CodecError):
        return TaskError(type="unserialisable_result", message=shorten(str(error)))
    return describe(error)


def failed(attempt: Attempt, computation: Computation, reason: TaskError) -> Finished:
    """The end of an attempt that FAILED."""
    ttl_ms = int(computation.result_ttl * 1000)
    return Finished(attempt.task_id, attempt.fence, State.FAILED, ttl_ms, error=reason)


def timed_out(attempt: Attempt, computation: Computation) -> Finished:
    """The end of an attempt that ran out of time."""
    return failed(attempt, computation, TaskError(type="timeout", message=attempt.timeout_message()))
