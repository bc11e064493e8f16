"""The reconciler's decisions, as a table and as properties."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.verdicts import Act, Facts, Verdict, decide, lost_message, timeout_message
from services.compute.models import State
from services.compute.store.types import FlightEntry

KEY = "f-0123456789abcdef-0"
PATIENCE = 10.0
PENDING = FlightEntry("f-1", State.PENDING, KEY, "S1", None, None, None, None, None, False, 0)
RUNNING = FlightEntry("f-1", State.RUNNING, KEY, "S1", "run1", "machine-0", 7, 1_000, 61_000, False, 1)
LATE = replace(RUNNING, overdue=True)
KNOWN = ["released", "waiting", "no-worker", "queued", "processing"]
ENDED = [None, "memory", "erred", "forgotten"]


def facts(state: str | None, *, scheduler: str = "S1", runs: tuple[str, ...] = ("run1", "run2")) -> Facts:
    return Facts(scheduler, {KEY: state}, frozenset(runs))


def acts(entry: FlightEntry, seen: Facts | None, suspected: float | None = None) -> Act:
    return decide(entry, seen, suspected, PATIENCE).act


@pytest.mark.parametrize("state", KNOWN)
def test_what_dask_knows_is_left_alone(state: str) -> None:
    assert acts(PENDING, facts(state)) is Act.KEEP
    assert acts(RUNNING, facts(state)) is Act.KEEP


@pytest.mark.parametrize("state", ENDED)
def test_what_had_not_begun_and_dask_does_not_run_any_more_is_sent_again_for_free(state: str | None) -> None:
    assert decide(PENDING, facts(state), None, PATIENCE) == Verdict(Act.FREE, "unknown_to_dask")


@pytest.mark.parametrize("state", ENDED)
def test_an_attempt_whose_key_has_ended_is_charged_after_the_patience(state: str | None) -> None:
    assert acts(RUNNING, facts(state)) is Act.SUSPECT
    assert acts(RUNNING, facts(state), 9.9) is Act.SUSPECT
    assert decide(RUNNING, facts(state), 10.0, PATIENCE) == Verdict(Act.ATTEMPT, "unknown_to_dask")


@pytest.mark.parametrize("state", [*KNOWN, *ENDED])
def test_an_attempt_on_a_worker_that_stays_away_is_charged_whatever_its_key_does(state: str | None) -> None:
    assert acts(RUNNING, facts(state, runs=("run2",))) is Act.SUSPECT
    assert decide(RUNNING, facts(state, runs=("run2",)), 11, PATIENCE) == Verdict(Act.ATTEMPT, "worker_lost")


def test_another_scheduler_charges_nobody() -> None:
    successor = facts(None, scheduler="S2")
    assert decide(PENDING, successor, None, PATIENCE) == Verdict(Act.FREE, "other_scheduler")
    assert acts(RUNNING, successor, 99) is Act.KEEP, "its worker has joined the successor and runs it on"
    alone = facts(None, scheduler="S2", runs=())
    assert acts(RUNNING, alone) is Act.SUSPECT, "its worker may still be on the way"
    assert decide(RUNNING, alone, 10, PATIENCE) == Verdict(Act.FREE, "other_scheduler")


def test_a_deadline_holds_whatever_dask_says() -> None:
    for seen in (None, facts("processing"), facts(None), facts(None, scheduler="S2")):
        assert decide(LATE, seen, None, PATIENCE) == Verdict(Act.EXPIRE, "timeout")


states = st.sampled_from([*KNOWN, *ENDED])
entries = st.builds(
    FlightEntry,
    task_id=st.just("f-1"),
    state=st.sampled_from([State.PENDING, State.RUNNING]),
    dispatch=st.just(KEY),
    scheduler=st.sampled_from(["S1", "S2"]),
    run=st.sampled_from([None, "run1", "run2"]),
    worker=st.sampled_from([None, "w"]),
    fence=st.sampled_from([None, 3]),
    started=st.sampled_from([None, 1]),
    deadline=st.sampled_from([None, 5]),
    overdue=st.booleans(),
    attempts=st.integers(0, 5),
)
seen_facts = st.builds(
    Facts,
    scheduler=st.sampled_from(["S1", "S2"]),
    states=st.dictionaries(st.just(KEY), states),
    runs=st.frozensets(st.sampled_from(["run1", "run2"])),
)
suspicions = st.none() | st.floats(0, 100)


@given(entries, suspicions)
def test_without_data_nothing_but_deadlines_is_acted_upon(entry: FlightEntry, suspected: float | None) -> None:
    verdict = decide(entry, None, suspected, PATIENCE)
    late = entry.state is State.RUNNING and entry.overdue
    assert verdict.act is (Act.EXPIRE if late else Act.KEEP)


@given(entries, seen_facts, suspicions)
def test_who_pays_and_who_does_not(entry: FlightEntry, seen: Facts, suspected: float | None) -> None:
    verdict = decide(entry, seen, suspected, PATIENCE)
    if verdict.act is Act.ATTEMPT:
        assert entry.state is State.RUNNING
        assert entry.scheduler == seen.scheduler
    if entry.state is State.RUNNING and verdict.act in (Act.FREE, Act.ATTEMPT):
        assert suspected is not None
        assert suspected >= PATIENCE
    if entry.run in seen.runs and seen.states.get(KEY) in KNOWN and not entry.overdue:
        assert verdict.act is (
            Act.FREE if entry.state is State.PENDING and entry.scheduler != seen.scheduler else Act.KEEP
        )
    if verdict.act is not Act.KEEP:
        assert verdict.why in {"timeout", "other_scheduler", "unknown_to_dask", "worker_lost"}


@given(entries, seen_facts, suspicions, st.floats(0, 100))
def test_more_suspicion_never_takes_a_decision_back(
    entry: FlightEntry, seen: Facts, suspected: float | None, more: float
) -> None:
    first = decide(entry, seen, suspected, PATIENCE)
    later = decide(entry, seen, (suspected or 0.0) + more, PATIENCE)
    assert later == first or first.act is Act.SUSPECT
    assert later.why == first.why


def test_messages_name_worker_and_time() -> None:
    assert lost_message(RUNNING, "worker_lost") == (
        "worker machine-0 was lost while it ran attempt 1, which began at 1970-01-01T00:00:01.000+00:00"
    )
    assert "60 s" in timeout_message(LATE)
    assert "machine-0" in timeout_message(LATE)
    assert "unknown" in lost_message(PENDING, "worker_lost")
