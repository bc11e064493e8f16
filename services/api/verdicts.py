"""What the reconciler decides about one task in flight, as a pure function over what Redis and Dask say of it.

    what is seen                                                    what is done
    RUNNING past its deadline                                       expire, also while no scheduler answers
    no scheduler answers                                            keep: no data, no action
    PENDING, the scheduler knows its key                            keep
    PENDING, sent to another scheduler, or key unknown or ended     free: it had not begun
    RUNNING, its worker process is there, key known                 keep
    RUNNING, its worker process is there, sent to another scheduler keep: the process has joined the new one
    RUNNING, its worker process is there, key unknown or ended      suspect, then attempt
    RUNNING, its worker process is gone, sent to this scheduler     suspect, then attempt
    RUNNING, its worker process is gone, sent to another scheduler  suspect, then free: a restart charges nobody

What is suspected must stay so for the patience before anything is done: a worker process that lost its connection
comes back under the same run id, and what a finished bundle stores may be on its way. Whatever is done names the
dispatch that it was decided for, so that a task that moved on in the meantime is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from services.compute.models import State
from services.compute.store.types import FlightEntry

_KNOWN = frozenset({"released", "waiting", "no-worker", "queued", "processing"})
"""States of a key that still has to run, or runs; a key in `memory` or `erred` has ended."""


class Act(Enum):
    """What to do about a task: leave it, look again soon, put it back (uncharged or charged), fail it as too late."""

    KEEP = auto()
    SUSPECT = auto()
    FREE = auto()
    ATTEMPT = auto()
    EXPIRE = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and a word for why (a metric's label, so from a small set)."""

    act: Act
    why: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a scheduler says.

    Attributes:
        scheduler: its id.
        states: Dask's state by key, None for an unknown one.
        runs: worker processes that have joined it.
    """

    scheduler: str
    states: Mapping[str, str | None]
    runs: Set[str]


KEEP = Verdict(Act.KEEP)


def decide(entry: FlightEntry, facts: Facts | None, suspected: float | None, patience: float) -> Verdict:
    """Judge one task.

    Args:
        entry: what Redis says.
        facts: what the scheduler says; None when none answered.
        suspected: for how many seconds it has been a suspect; None when it is not.
        patience: after how many seconds something is done about a suspect.
    """
    if entry.state is State.RUNNING and entry.overdue:
        return Verdict(Act.EXPIRE, "timeout")
    if facts is None:
        return KEEP
    known = facts.states.get(entry.dispatch) in _KNOWN
    elsewhere = entry.scheduler != facts.scheduler
    if entry.state is State.PENDING:
        if elsewhere:
            return Verdict(Act.FREE, "other_scheduler")
        return KEEP if known else Verdict(Act.FREE, "unknown_to_dask")
    verdict = _running(present=entry.run in facts.runs, elsewhere=elsewhere, known=known)
    if verdict is not KEEP and (suspected is None or suspected < patience):
        return Verdict(Act.SUSPECT, verdict.why)
    return verdict


def _running(*, present: bool, elsewhere: bool, known: bool) -> Verdict:
    if present:
        return KEEP if elsewhere or known else Verdict(Act.ATTEMPT, "unknown_to_dask")
    if elsewhere:
        return Verdict(Act.FREE, "other_scheduler")
    return Verdict(Act.ATTEMPT, "worker_lost")


def lost_message(entry: FlightEntry, why: str) -> str:
    """Why a task that has no attempt left is FAILED."""
    fate = "was lost while it ran" if why == "worker_lost" else "let go, without a result, of"
    return f"worker {entry.worker or 'unknown'} {fate} attempt {entry.attempts}, which began at {_time(entry.started)}"


def timeout_message(entry: FlightEntry) -> str:
    """Why a task past its deadline is FAILED."""
    seconds = ((entry.deadline or 0) - (entry.started or 0)) / 1000
    return (
        f"attempt {entry.attempts} did not end within {seconds:g} s: it began at {_time(entry.started)} "
        f"on worker {entry.worker or 'unknown'}, which did not stop it"
    )


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "an unknown time"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
