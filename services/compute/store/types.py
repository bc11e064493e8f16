"""The words of the store: what goes into its commands and what comes out.

All times are milliseconds since the epoch by the server's clock, all durations milliseconds. What is made once per
task and request (`Submission`, `Submitted`, `Change`) is a named tuple, since building a frozen dataclass costs
several times as much; `StoredRecord` (records.py) wraps the server's answer for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from services.compute.models import Outcome, Priority, State, TaskError
    from services.compute.store.records import StoredRecord


class Submission(NamedTuple):
    """One task that somebody asks for.

    Attributes:
        task_id: `<computation>-<32 hex>`.
        version: version of the computation's code.
        parameters: the validated parameters, compact JSON (`Computation.dump`).
    """

    task_id: str
    version: str
    parameters: bytes


class Submitted(NamedTuple):
    """What a submission met.

    Attributes:
        task_id: as submitted.
        outcome: created, joined or hit; None when there was no room (queue maximum, or the server's memory is full
            of what may not be evicted), and then nothing was stored.
        state: the task's state now; None when there was no room.
        record: the record, with its inline result on a hit; None without room or with `records=False`.
    """

    task_id: str
    outcome: Outcome | None
    state: State | None
    record: StoredRecord | None

    @property
    def full(self) -> bool:
        """Whether there was no room: answer 429."""
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many tasks are where.

    Attributes:
        interactive: entries in the interactive queue (a few may be stale).
        batch: entries in the batch queue (a few may be stale).
        delayed: tasks that wait for a retry's time or for a worker with their version.
        flight: tasks dispatched to Dask and not final.
    """

    interactive: int
    batch: int
    delayed: int
    flight: int

    @property
    def waiting(self) -> int:
        """Tasks accepted and not dispatched: what the queue's maximum is held against."""
        return self.interactive + self.batch + self.delayed


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the server and its queues are, for whoever watches.

    Attributes:
        depth: how many tasks are where.
        oldest_ms: since the oldest task at the heads of the queues was asked for; 0 when they are empty. One that was
            put back counts from its submission; delayed ones do not count.
        memory: bytes that the server uses.
        memory_max: bytes that it may use; 0 when it has no limit.
    """

    depth: Depth
    oldest_ms: int
    memory: int
    memory_max: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What a batch would add.

    Attributes:
        new: how many of its ids would be queued anew.
        waiting: how many tasks wait already.
    """

    new: int
    waiting: int

    def fits(self, queue_max: int) -> bool:
        """Whether the whole batch has room in a queue of at most `queue_max` tasks."""
        return self.new == 0 or self.waiting + self.new <= queue_max


@dataclass(frozen=True, slots=True)
class Bundle:
    """Tasks of one computation and version that travel to Dask as one Dask task.

    Attributes:
        dispatch: the Dask key, `<computation>-<16 hex>-<n>`, never used before.
        computation: name of the computation.
        version: version that all members were submitted for.
        priority: the queue that they came from.
        task_ids: the members, in the queue's order.
    """

    dispatch: str
    computation: str
    version: str
    priority: Priority
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one `take` popped.

    Attributes:
        bundles: to submit to Dask, in order.
        depth: what is left, counted after the take.
        failed: ids that were FAILED because nobody held their version for too long.
        paced: whether tasks were left in the queue until their computation's first duration is known.
    """

    bundles: tuple[Bundle, ...]
    depth: Depth
    failed: tuple[str, ...] = ()
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """Leave to run one attempt of a task.

    Attributes:
        task_id: the task.
        fence: number of this attempt, never used before or again; every write of the attempt carries it.
        attempts: attempts begun so far, this one included.
        parameters: compact JSON, as submitted.
        deadline_ms: when the attempt is too late, by the server's clock.
        now_ms: the server's clock when it answered, to turn the deadline into a local one.
    """

    task_id: str
    fence: int
    attempts: int
    parameters: bytes
    deadline_ms: int
    now_ms: int


class Refusal(StrEnum):
    """Why a member may not start.

    STALE: cancelled, final, gone, or dispatched anew: somebody else's business now.
    RUNNING: this very worker process runs it already under this dispatch: leave it to that thread.
    REQUEUED: another worker process started it, which is dead for Dask; it is back in the queue, to run alone.
    FAILED: as REQUEUED, but its attempts were used up; it is FAILED as `worker_lost`.
    """

    STALE = "stale"
    RUNNING = "running"
    REQUEUED = "requeued"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Refused:
    """A member that may not start, and why."""

    task_id: str
    reason: Refusal


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one attempt.

    Attributes:
        task_id: the task.
        fence: of the attempt that ends; another one's end is refused.
        state: DONE or FAILED.
        ttl_ms: how long the record is kept.
        result: JSON of an inline result (DONE).
        object: reference of a result in the object store (DONE).
        error: why (FAILED).
    """

    task_id: str
    fence: int
    state: State
    ttl_ms: int
    result: bytes | None = None
    object: str | None = None
    error: TaskError | None = field(default=None)


class Handback(NamedTuple):
    """A task to put back into its queue, if it still belongs to the dispatch `dispatch`."""

    task_id: str
    dispatch: str


class Charge(StrEnum):
    """What being put back costs a task whose attempt had begun; one that had not begun never pays.

    FREE: the attempt does not count (another scheduler, a wrong version, a lost connection).
    DRAIN: the attempt does not count, but a drain does; beyond 20 drains each counts as an attempt.
    ATTEMPT: its worker was lost: the attempt counts, unless the task was started together with others. Then it goes
        back uncharged, once, and travels alone from then on.
    RETRY: the attempt counts, since the task's own code has given it up.

    When an attempt counts and none is left, the task is FAILED.
    """

    FREE = "free"
    DRAIN = "drain"
    ATTEMPT = "attempt"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in Redis.

    Attributes:
        depth: tasks in the queues, delayed, and in Dask.
        waiting: tasks in the queues by computation, estimated from the queues' ends.
        durations: milliseconds per task by computation, of those that wait and have been measured.
        measuring: milliseconds for which the first tasks have been out, of those that are being measured.
    """

    depth: Depth
    waiting: Mapping[str, float] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)
    measuring: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FlightEntry:
    """A dispatched task whose time to be looked at has come.

    Attributes:
        task_id: the task.
        state: PENDING (sent, not started) or RUNNING.
        dispatch: its Dask key.
        scheduler: id of the scheduler that it was sent to.
        run: id of the worker process that started it; None while PENDING.
        worker: name of that worker; None while PENDING.
        fence: of the running attempt; None while PENDING. With it `finish` can end an attempt past its deadline.
        started: when the attempt began; None while PENDING.
        deadline: when it is too late; None while PENDING.
        overdue: whether that has passed by the server's clock.
        attempts: attempts begun so far.
    """

    task_id: str
    state: State
    dispatch: str
    scheduler: str
    run: str | None
    worker: str | None
    fence: int | None
    started: int | None
    deadline: int | None
    overdue: bool
    attempts: int

    @property
    def computation(self) -> str:
        """Name of the task's computation."""
        return self.task_id.rpartition("-")[0]


class Change(NamedTuple):
    """A task whose record was changed; more may have happened to it since."""

    task_id: str
    revision: int
    state: State


@dataclass(frozen=True, slots=True)
class Page:
    """Some recent tasks, the newest first.

    Attributes:
        records: at most as many as asked for; fewer, even none, when a filter passed over many.
        next_cursor: opaque; where the next page begins; None at the end.
    """

    records: tuple[StoredRecord, ...]
    next_cursor: str | None
