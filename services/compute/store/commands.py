"""What the store can ask of the server, as values: arguments encoded, answers decoded, nothing sent.

`AsyncStore` and `Store` execute the same commands, so that what they mean is written, and tested, once.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.compute.models import Priority, Progress, State, TaskError
from services.compute.store import replies
from services.compute.store.records import StoredRecord
from services.compute.store.scripts import Script, script
from services.compute.store.types import (
    Admission,
    Backlog,
    Charge,
    Depth,
    Finished,
    FlightEntry,
    Handback,
    Page,
    Refused,
    Started,
    Submission,
    Submitted,
    Taken,
    Vitals,
)

T = TypeVar("T")
Argument = str | bytes | int | float

CHUNK = 500
"""Tasks in one call at most: 10,000 blocked the server for 60 ms."""

RECENT_MAX = 10_000
"""Tasks that the recent listing remembers."""

RECENT_SCAN = 1_000
"""Entries of the listing that one filtered page looks at, at most."""

BACKLOG_SAMPLE = 100
"""Entries of each end of a queue that tell of what computations it is."""

REPLY_BYTES = 8 * 1024 * 1024
"""Bytes of results in one answer; what is left out is fetched by further calls."""


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """One call of the server.

    Attributes:
        script: the script to run, or None for a plain command.
        args: the script's ARGV, or the plain command's words with the key second, without the prefix.
        decode: makes the value from the server's answer.
        again: whether it may be sent a second time when the first one's answer was lost.
    """

    script: Script | None
    args: Sequence[Argument]
    decode: Callable[[Any], T]
    again: bool = True


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """`items` in pieces of at most `size`."""
    if len(items) <= size:
        if items:
            yield items
        return
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def submit(
    items: Sequence[Submission], priority: Priority, force: bool, queue_max: int | None, records: bool
) -> Command[list[Submitted]]:
    """Create, join or hit; see `AsyncStore.submit`."""
    args: list[Argument] = [
        "i" if priority is Priority.INTERACTIVE else "b",
        1 if force else 0,
        -1 if queue_max is None else queue_max,
        RECENT_MAX,
        REPLY_BYTES if records else -1,
    ]
    for item in items:
        args += item
    if records:
        return Command(script("submit"), args, lambda reply: replies.submitted(items, reply))
    return Command(script("submit"), args, lambda reply: replies.submitted_briefly(items, reply))


def admit(task_ids: Sequence[str], force: bool) -> Command[Admission]:
    """Count what would be new."""
    return Command(script("admit"), [1 if force else 0, *task_ids], lambda reply: Admission(*reply))


def take(
    *,
    limit: int,
    bound: int,
    threads: int,
    versions: Mapping[str, Iterable[str]],
    scheduler: str,
    dispatch_hex: str | None,
    target_ms: float,
    max_bundle: int,
    check_after_ms: int,
    version_wait_ms: int,
    failed_ttl_ms: int,
) -> Command[Taken]:
    """Pop tasks and mark them dispatched; see `AsyncStore.take`."""
    args: list[Argument] = [limit, bound, max(1, threads), target_ms, max(1, max_bundle), check_after_ms]
    args += [version_wait_ms, failed_ttl_ms, scheduler, dispatch_hex or secrets.token_hex(8)]
    for name, held in versions.items():
        for version in held:
            args += [name, version]
    return Command(script("take"), args, replies.taken, again=False)


def start(
    dispatch: str,
    task_ids: Sequence[str],
    *,
    worker: str,
    run: str,
    timeout_ms: int,
    max_attempts: int,
    result_ttl_ms: int,
    check_after_ms: int,
    call: str | None = None,
) -> Command[list[Started | Refused]]:
    """Begin attempts; the call's own token makes a repetition of it the same call."""
    args: list[Argument] = [dispatch, worker, run, call or secrets.token_hex(8), timeout_ms, max_attempts]
    args += [result_ttl_ms, check_after_ms, *task_ids]
    return Command(script("start"), args, lambda reply: replies.started(task_ids, reply))


def finish(items: Sequence[Finished], durations: Mapping[str, tuple[int, float]]) -> Command[list[bool]]:
    """End attempts."""
    args: list[Argument] = [len(items)]
    for item in items:
        args += [item.task_id, item.fence, item.state.value, item.ttl_ms]
        if item.result is not None:
            args += ["result", item.result]
        elif item.object is not None:
            args += ["object", item.object]
        elif item.error is not None:
            args += ["error", item.error.model_dump_json()]
        else:
            raise ValueError(f"the end of {item.task_id} has no result, no object and no error: give one of them")
    for name, (count, total_ms) in durations.items():
        args += [name, count, f"{total_ms:.6f}"]
    return Command(script("finish"), args, replies.booleans)


def progress(task_id: str, fence: int, value: Progress) -> Command[bool]:
    """Write the progress of a running attempt."""
    return Command(script("progress"), [task_id, fence, value.model_dump_json()], bool)


def cancel(task_ids: Sequence[str], ttl_ms: int) -> Command[list[StoredRecord | None]]:
    """Cancel what is not final."""
    return Command(script("cancel"), [ttl_ms, *task_ids], lambda reply: replies.records(task_ids, reply))


def requeue(
    items: Sequence[Handback], charge: Charge, delay_ms: int, max_attempts: int, reason: TaskError, result_ttl_ms: int
) -> Command[list[State | None]]:
    """Put back what still belongs to its dispatch."""
    args: list[Argument] = [charge.value, delay_ms, max_attempts, reason.model_dump_json(), result_ttl_ms]
    for item in items:
        args += item
    return Command(script("requeue"), args, replies.states)


def due(limit: int) -> Command[list[FlightEntry]]:
    """What in flight should be looked at."""
    return Command(script("due"), [limit], replies.flight)


def postpone(task_ids: Sequence[str], check_after_ms: int) -> Command[None]:
    """Look at them again later."""
    return Command(script("postpone"), [check_after_ms, *task_ids], replies.nothing)


def states(task_ids: Sequence[str]) -> Command[list[State | None]]:
    """Read states."""
    return Command(script("states"), [*task_ids], replies.states)


def get(task_ids: Sequence[str], with_results: bool) -> Command[list[StoredRecord | None]]:
    """Read records."""
    args: list[Argument] = [REPLY_BYTES if with_results else -1, *task_ids]
    return Command(script("get"), args, lambda reply: replies.records(task_ids, reply))


def recent(state: State | None, computation: str | None, cursor: str | None, limit: int) -> Command[Page]:
    """One page of the recent tasks.

    Raises:
        ValueError: the cursor is none of ours.
    """
    score, task_id = _read_cursor(cursor)
    args = [state.value if state else "", computation or "", max(1, limit), RECENT_SCAN, score, task_id]
    return Command(script("recent"), args, replies.page)


def depth() -> Command[Depth]:
    """Count the queues."""
    return Command(script("depth"), [], lambda reply: Depth(*reply))


def vitals() -> Command[Vitals]:
    """Look at server and queues."""
    return Command(script("vitals"), [], replies.vitals)


def lease(name: str, owner: str, ttl_ms: int) -> Command[bool]:
    """Take or prolong a lease."""
    return Command(script("lease"), [name, owner, ttl_ms], bool)


def release(name: str, owner: str) -> Command[bool]:
    """Give a lease back."""
    return Command(script("release"), [name, owner], bool)


def durations() -> Command[dict[str, float]]:
    """Learned durations."""
    return Command(None, ["HGETALL", "durations"], replies.durations)


def fleet() -> Command[bytes | None]:
    """The autoscaler's document."""
    return Command(None, ["GET", "fleet"], replies.optional_bytes)


def put_fleet(owner: str, document: bytes | None, notes: Mapping[str, bytes], drop: Iterable[str]) -> Command[bool]:
    """Replace the autoscaler's document, write some of its notes, drop others."""
    args: list[Argument] = [owner, len(notes)]
    for name, value in notes.items():
        args += [name, value]
    return Command(script("fleet"), [*args, document or b"", *drop], bool)


def fleet_notes() -> Command[dict[str, bytes]]:
    """The autoscaler's notes."""
    return Command(None, ["HGETALL", "fleet:notes"], replies.notes)


def backlog() -> Command[Backlog]:
    """What waits, by computation."""
    return Command(script("backlog"), [BACKLOG_SAMPLE], replies.backlog)


def ping() -> Command[None]:
    """Ask for any answer: reads a key, since PING also succeeds while the data is being loaded."""
    return Command(None, ["EXISTS", "fence"], replies.nothing)


def left_out(records: Sequence[StoredRecord | None]) -> list[int]:
    """Positions of DONE records whose inline result did not fit into the answer."""
    return [
        i
        for i, record in enumerate(records)
        if record is not None
        and record.fields[0] == b"DONE"
        and record.fields[-1] is None
        and record.fields[11] is None
    ]


def fill_in(found: list[Submitted], places: Sequence[int], records: Sequence[StoredRecord | None]) -> None:
    """Put records that were read later where their results were left out; what is gone meanwhile stays as it was."""
    for at, record in zip(places, records, strict=True):
        if record is not None:
            found[at] = found[at]._replace(record=record, state=record.state)


def _read_cursor(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "+inf", ""
    try:
        score, task_id = base64.urlsafe_b64decode(cursor.encode() + b"==").decode().split(" ")
        return str(range(2**53)[int(score)]), task_id
    except (binascii.Error, ValueError, IndexError) as error:
        raise ValueError("the cursor is not one that this listing gave: take next_cursor as it came") from error
