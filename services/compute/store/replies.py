"""Decoding of the server's answers; the pure half of each command that faces this way.

The shapes are those that the script of the same name returns; all text is bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from services.compute.models import Outcome, Priority, State
from services.compute.store.records import STATES, StoredRecord
from services.compute.store.types import (
    Backlog,
    Bundle,
    Change,
    Depth,
    FlightEntry,
    Page,
    Refusal,
    Refused,
    Started,
    Submission,
    Submitted,
    Taken,
    Vitals,
)

_OUTCOMES = {1: Outcome.CREATED, 2: Outcome.JOINED, 3: Outcome.HIT}
_PRIORITIES = {b"i": Priority.INTERACTIVE, b"b": Priority.BATCH}


def submitted(items: Sequence[Submission], reply: Sequence[Any]) -> list[Submitted]:
    """Per item the record's fields, the result and the outcome's code, or a bare 4 when there was no room."""
    answers = []
    for item, fields in zip(items, reply, strict=True):
        task_id = item[0]
        if fields == 4:
            answers.append(Submitted(task_id, None, None, None))
            continue
        outcome = _OUTCOMES[fields.pop()]
        answers.append(Submitted(task_id, outcome, STATES[fields[0]], StoredRecord(task_id, fields)))
    return answers


def submitted_briefly(items: Sequence[Submission], reply: Sequence[Any]) -> list[Submitted]:
    """Two values per item, in one row: the outcome's code and the state."""
    return [
        Submitted(item[0], _OUTCOMES[code], STATES[state], None) if code != 4 else Submitted(item[0], None, None, None)
        for item, code, state in zip(items, reply[::2], reply[1::2], strict=True)
    ]


def taken(reply: Sequence[Any]) -> Taken:
    """`[bundles, failed ids, paced, depth]`, a bundle being `[dispatch, computation, version, queue, id, …]`."""
    bundles, failed, paced, depth = reply
    return Taken(
        tuple(
            Bundle(key.decode(), name.decode(), version.decode(), _PRIORITIES[queue], tuple(i.decode() for i in ids))
            for key, name, version, queue, *ids in bundles
        ),
        Depth(*depth),
        tuple(task_id.decode() for task_id in failed),
        bool(paced),
    )


def started(task_ids: Sequence[str], reply: Sequence[Any]) -> list[Started | Refused]:
    """`[now, answer, …]`, an answer being `[fence, attempts, parameters, deadline]` or a word of `Refusal`."""
    now = int(reply[0])
    return [
        Refused(task_id, Refusal(answer.decode()))
        if isinstance(answer, bytes)
        else Started(task_id, int(answer[0]), int(answer[1]), answer[2], int(answer[3]), now)
        for task_id, answer in zip(task_ids, reply[1:], strict=True)
    ]


def booleans(reply: Sequence[Any]) -> list[bool]:
    """One flag per item."""
    return [bool(flag) for flag in reply]


def states(reply: Sequence[Any]) -> list[State | None]:
    """One state per item, None where there is none or nothing was done."""
    return [STATES.get(word) for word in reply]


def records(task_ids: Sequence[str], reply: Sequence[Any]) -> list[StoredRecord | None]:
    """One row of fields per id, nil where there is no record."""
    return [
        None if fields is None else StoredRecord(task_id, fields)
        for task_id, fields in zip(task_ids, reply, strict=True)
    ]


def flight(reply: Sequence[Any]) -> list[FlightEntry]:
    """One row per entry."""
    return [_entry(*row) for row in reply]


def _entry(
    task_id: bytes,
    state: bytes,
    dispatch: bytes,
    scheduler: bytes | None,
    run: bytes | None,
    worker: bytes | None,
    fence: bytes | None,
    started: bytes | None,
    deadline: bytes | None,
    attempts: bytes | None,
    overdue: int,
) -> FlightEntry:
    return FlightEntry(
        task_id=task_id.decode(),
        state=STATES[state],
        dispatch=dispatch.decode(),
        scheduler=(scheduler or b"").decode(),
        run=None if run is None else run.decode(),
        worker=None if worker is None else worker.decode(),
        fence=None if fence is None else int(fence),
        started=None if started is None else int(started),
        deadline=None if deadline is None else int(deadline),
        overdue=bool(overdue),
        attempts=int(attempts or 0),
    )


def page(reply: Sequence[Any]) -> Page:
    """`[score, id, row, …]`: where the scan ended, empty at the end of the list, and the id leading each row."""
    score, last, *rows = reply
    cursor = None
    if score:
        cursor = base64.urlsafe_b64encode(score + b" " + last).rstrip(b"=").decode()
    return Page(tuple(StoredRecord(row.pop().decode(), row) for row in rows), cursor)


def durations(reply: Any) -> dict[str, float]:
    """Name and value in turn; a value that begins with `?` is not known yet."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): float(value) for name, value in pairs if not value.startswith(b"?")}


def backlog(reply: Sequence[Any]) -> Backlog:
    """`[depth, [name, ms, …], [name, number, …]]`."""
    depth, learned, waiting = reply
    durations = _numbers(learned)
    measured = {name: ms for name, ms in durations.items() if ms >= 0}
    measuring = {name: -ms for name, ms in durations.items() if ms < 0}
    return Backlog(Depth(*depth), _numbers(waiting), measured, measuring)


def vitals(reply: Sequence[Any]) -> Vitals:
    """`[depth, ms, bytes used, bytes allowed]`."""
    depth, *numbers = reply
    return Vitals(Depth(*depth), *map(int, numbers))


def notes(reply: Any) -> dict[str, bytes]:
    """Name and value in turn."""
    return {name.decode(): bytes(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _numbers(flat: Sequence[bytes]) -> dict[str, float]:
    return {name.decode(): float(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def optional_bytes(reply: Any) -> bytes | None:
    """A string, or None when there is none."""
    return None if reply is None else bytes(reply)


def nothing(reply: Any) -> None:
    """The answer says nothing of interest."""
    del reply


def changes(message: bytes) -> list[Change]:
    """One line per change: `task_id revision state`."""
    found = []
    for line in message.decode().split("\n"):
        task_id, revision, state = line.split(" ")
        found.append(Change(task_id, int(revision), STATE_WORDS[state]))
    return found


STATE_WORDS = {state.value: state for state in State}
