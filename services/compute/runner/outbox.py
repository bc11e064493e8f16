"""What finished attempts have to say to Redis, gathered so that many of them share one round trip.

Whoever has to know that its outcomes are stored calls `flush`: the first caller carries everybody's, the others wait
for it (a group commit). While Redis is away the outcomes stay here and their threads wait with them, so the box cannot
grow beyond what the threads had finished; after a settable time they are given up, and the reconciler, which
sees tasks that nobody runs, sends them again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from services.compute.errors import StoreUnavailable
from services.compute.models import TaskError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.compute.store.types import Charge, Finished, Handback

CHUNK = 500
"""Items of one call: more would hold the server up for too long."""

BYTES_MAX = 1_000_000
"""Results of this many bytes are worth a round trip of their own."""

NOBODY_LEFT = TaskError(
    type="worker_lost", message="worker after worker left before the task could end: see its timeout and WORKER_GRACE"
)

log = structlog.get_logger(__name__)


class OutboxStore(Protocol):
    """What the outbox needs of the store."""

    def finish(self, items: Sequence[Finished], durations: dict[str, tuple[int, float]] | None = None) -> list[bool]:
        """Store outcomes; whether each was accepted."""

    def requeue(
        self,
        items: Sequence[Handback],
        charge: Charge,
        *,
        delay_ms: int = 0,
        max_attempts: int,
        reason: TaskError,
        result_ttl_ms: int,
    ) -> object:
        """Put tasks back into their queue."""


@dataclass(frozen=True, slots=True)
class Return:
    """Tasks to put back into their queue, all on the same terms.

    Attributes:
        items: the tasks and the dispatch that they belong to.
        charge: what it costs them.
        delay_ms: how long they wait before they may run again.
        max_attempts: attempts that their computation allows.
        reason: their error, should no attempt be left.
        result_ttl_ms: how long a record that FAILED this way is kept.
    """

    items: tuple[Handback, ...]
    charge: Charge
    max_attempts: int
    result_ttl_ms: int
    delay_ms: int = 0
    reason: TaskError = NOBODY_LEFT


@dataclass(slots=True)
class _Batch:
    """What waits for the next flush."""

    finished: list[Finished] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    durations: dict[str, tuple[int, float]] = field(default_factory=dict)
    bytes: int = 0
    oldest: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.finished or self.returns)


class Outbox:
    """Outcomes on their way to Redis.

    Args:
        store: where they go.
        refused: called with the outcomes that the store did not accept (their attempts were superseded).
        keep_for: seconds that outcomes are kept while Redis does not answer.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: OutboxStore,
        *,
        refused: Callable[[list[Finished]], None] = lambda _: None,
        keep_for: float = 150.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._refused = refused
        self._keep_for = keep_for
        self._clock = clock
        self._batch = _Batch()
        self._added = 0
        self._flushed = 0
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._end: float | None = None
        self._ended = threading.Event()
        self.last_flush = clock()

    def add(self, outcome: Finished, computation: str = "", seconds: float | None = None) -> None:
        """Take an outcome; `seconds`, where known, teaches how long the computation runs."""
        with self._lock:
            batch = self._batch
            self._stamp(batch)
            batch.finished.append(outcome)
            batch.bytes += len(outcome.result or b"")
            if seconds is not None:
                count, total = batch.durations.get(computation, (0, 0.0))
                batch.durations[computation] = (count + 1, total + seconds * 1000)

    def give_back(self, back: Return) -> None:
        """Take tasks that go back into their queue."""
        with self._lock:
            self._stamp(self._batch)
            self._batch.returns.append(back)

    def _stamp(self, batch: _Batch) -> None:
        self._added += 1
        if not batch:
            batch.oldest = self._clock()

    def due(self, age: float) -> bool:
        """Whether something has waited for `age` seconds, or much has gathered."""
        batch = self._batch
        if not batch:
            return False
        return batch.bytes >= BYTES_MAX or len(batch.finished) >= CHUNK or self._clock() - batch.oldest >= age

    def end_by(self, until: float) -> None:
        """From now on keep nothing longer than to `until` (clock seconds): the process is about to leave."""
        self._end = until
        self._ended.set()

    def flush(self) -> None:
        """Return when all that was added before this call is stored, or given up after its time."""
        ticket = self._added
        if self._flushed >= ticket:
            return
        with self._flushing:
            if self._flushed >= ticket:
                return
            with self._lock:
                batch, self._batch = self._batch, _Batch()
                upto = self._added
            self._send(batch)
            self._flushed = upto
            self.last_flush = self._clock()

    def _send(self, batch: _Batch) -> None:
        give_up = self._clock() + self._keep_for
        durations = batch.durations
        for at in range(0, len(batch.finished), CHUNK):
            chunk = batch.finished[at : at + CHUNK]
            self._deliver(give_up, lambda c=chunk, d=durations: self._finish(c, d), [each.task_id for each in chunk])  # type: ignore[misc]
            durations = {}
        for back in batch.returns:
            self._deliver(give_up, lambda b=back: self._requeue(b), [each.task_id for each in back.items])  # type: ignore[misc]

    def _finish(self, chunk: list[Finished], durations: dict[str, tuple[int, float]]) -> None:
        accepted = self._store.finish(chunk, durations)
        refused = [each for each, ok in zip(chunk, accepted, strict=True) if not ok]
        if refused:
            self._refused(refused)

    def _requeue(self, back: Return) -> None:
        for at in range(0, len(back.items), CHUNK):
            self._store.requeue(
                back.items[at : at + CHUNK],
                back.charge,
                delay_ms=back.delay_ms,
                max_attempts=back.max_attempts,
                reason=back.reason,
                result_ttl_ms=back.result_ttl_ms,
            )

    def _deliver(self, give_up: float, call: Callable[[], None], task_ids: list[str]) -> None:
        """Make one call of the store, again and again while it is away, until the time is up."""
        pause = 0.1
        while True:
            try:
                call()
            except StoreUnavailable as error:
                end = give_up if self._end is None else min(give_up, self._end)
                left = end - self._clock()
                if left <= 0:
                    log.error(  # noqa: TRY400
                        "outcomes given up: Redis did not answer in time", tasks=len(task_ids), error=str(error)
                    )
                    return
                self._pause(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311
                pause = min(pause * 2, 2.0)
            except Exception:
                log.exception("outcomes lost: the store raised what it should not", tasks=task_ids[:10])
                return
            else:
                return

    def _pause(self, seconds: float) -> None:
        # A drain that begins during the wait shortens it; once it has begun, the event no longer blocks.
        if self._ended.is_set():
            time.sleep(min(seconds, 0.2))
        else:
            self._ended.wait(seconds)
