"""Putting back, cancelling, and the watch over what is in flight."""

from __future__ import annotations

import time

import pytest
import redis

from services.compute.models import Priority, State, TaskError
from services.compute.store import Charge, Handback
from tests.contracts.store.steps import REASON, TTL, Steps, begun, bundle_of, ident, taken_numbers


@pytest.mark.parametrize("charge", list(Charge))
def test_what_had_not_begun_never_pays(steps: Steps, charge: Charge) -> None:
    dispatch = steps.dispatched(1)
    assert steps.requeue(charge, (1, dispatch), max_attempts=1) == [State.PENDING]
    record = steps.get(1)
    assert (record.state, record.attempts) == (State.PENDING, 0)
    assert steps.store.depth().flight == 0
    assert taken_numbers(steps.take()) == [1]


@pytest.mark.parametrize(
    ("charge", "attempts"), [(Charge.FREE, 0), (Charge.DRAIN, 0), (Charge.ATTEMPT, 1), (Charge.RETRY, 1)]
)
def test_what_had_begun_pays(steps: Steps, charge: Charge, attempts: int) -> None:
    dispatch, attempt = steps.running(1)
    assert steps.requeue(charge, (1, dispatch)) == [State.PENDING]
    record = steps.get(1)
    assert (record.state, record.attempts, record.fence) == (State.PENDING, attempts, None)
    assert not steps.finish(attempt)


def test_the_last_attempt_ends_in_its_reason(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    assert steps.requeue(Charge.ATTEMPT, (1, dispatch), max_attempts=1) == [State.FAILED]
    record = steps.get(1)
    assert TaskError.model_validate_json(record.error or b"") == REASON
    assert record.finished_ms is not None


@pytest.mark.parametrize(("charge", "attempts"), [(Charge.ATTEMPT, 0), (Charge.RETRY, 1)])
def test_a_lost_worker_charges_nobody_who_began_among_others(steps: Steps, charge: Charge, attempts: int) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2, 3)
    (bundle,) = steps.take(threads=1).bundles
    steps.start(bundle.dispatch, ident(1), ident(2))
    assert steps.requeue(charge, (1, bundle.dispatch), (2, bundle.dispatch), max_attempts=2) == [State.PENDING] * 2
    assert [steps.get(number).attempts for number in (1, 2)] == [attempts] * 2
    steps.requeue(Charge.FREE, (3, bundle.dispatch))
    taken = steps.take(threads=1)
    assert [len(each.task_ids) for each in taken.bundles] == [1, 1, 1]
    dispatch = bundle_of(taken, 1).dispatch
    begun(steps.start(dispatch, ident(1)))
    assert steps.requeue(charge, (1, dispatch), max_attempts=1) == [State.FAILED], "the next loss is its own"


def test_twenty_drains_are_free_and_the_next_counts(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    for _ in range(20):
        assert steps.requeue(Charge.DRAIN, (1, dispatch), max_attempts=1) == [State.PENDING]
        assert steps.get(1).attempts == 0
        dispatch = steps.take().bundles[0].dispatch
        begun(steps.start(dispatch, ident(1)))
    assert steps.requeue(Charge.DRAIN, (1, dispatch), max_attempts=1) == [State.FAILED]


def test_a_second_requeue_changes_nothing(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    assert steps.requeue(Charge.ATTEMPT, (1, dispatch)) == [State.PENDING]
    before = steps.get(1)
    assert steps.requeue(Charge.ATTEMPT, (1, dispatch)) == [None]
    assert steps.get(1).fields == before.fields
    assert steps.store.depth().waiting == 1


def test_the_same_task_twice_in_one_requeue(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    assert sorted(map(str, steps.requeue(Charge.ATTEMPT, (1, dispatch), (1, dispatch)))) == ["None", "PENDING"]
    assert steps.get(1).attempts == 1


def test_another_dispatch_is_left_alone(steps: Steps) -> None:
    dispatch, attempt = steps.running(1)
    assert steps.requeue(Charge.FREE, (1, "fib-0-0"), (2, dispatch)) == [None, None]
    assert steps.finish(attempt)
    assert steps.requeue(Charge.FREE, (1, dispatch)) == [None]


def test_what_is_put_back_comes_first_and_in_order(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, 2, 3, 4, 5)
    dispatches = [b.dispatch for b in steps.take(limit=3).bundles]
    steps.requeue(Charge.FREE, *zip((1, 2, 3), dispatches, strict=True))
    assert taken_numbers(steps.take()) == [1, 2, 3, 4, 5]


def test_it_goes_back_to_its_own_queue(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, priority=Priority.INTERACTIVE)
    steps.submit(2)
    taken = steps.take()
    steps.requeue(Charge.FREE, *((n, b.dispatch) for n, b in zip((1, 2), taken.bundles, strict=True)))
    depth = steps.store.depth()
    assert (depth.interactive, depth.batch) == (1, 1)
    assert [b.priority for b in steps.take().bundles] == [Priority.INTERACTIVE, Priority.BATCH]


@pytest.mark.parametrize("charge", [Charge.FREE, Charge.ATTEMPT])
def test_a_delay_is_waited_for(steps: Steps, charge: Charge) -> None:
    dispatch, _ = steps.running(1)
    steps.requeue(charge, (1, dispatch), delay_ms=200)
    assert steps.store.depth().delayed == 1
    assert steps.take().bundles == ()
    time.sleep(0.25)
    assert taken_numbers(steps.take()) == [1]
    assert steps.store.depth().delayed == 0


def test_a_delayed_task_joined_by_a_single_request_still_waits(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    steps.requeue(Charge.ATTEMPT, (1, dispatch), delay_ms=60_000)
    steps.submit(1, priority=Priority.INTERACTIVE)
    assert steps.take().bundles == ()
    assert steps.store.depth().delayed == 1


def test_a_delayed_task_is_cancelled_and_asked_for_again(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    steps.requeue(Charge.ATTEMPT, (1, dispatch), delay_ms=60_000)
    steps.cancel(1)
    assert steps.store.depth().delayed == 0
    steps.submit(1)
    assert taken_numbers(steps.take()) == [1]


def test_cancel_ends_what_is_not_final(steps: Steps) -> None:
    steps.submit(1)
    steps.running(2)
    steps.done(3)
    steps.submit(4)
    states = {}
    for number in (1, 2, 3, 4, 5):
        record = steps.cancel(number)
        states[number] = record and record.state
    done, cancelled = State.DONE, State.CANCELLED
    assert states == {1: cancelled, 2: cancelled, 3: done, 4: cancelled, 5: None}
    assert steps.store.depth().flight == 0
    record = steps.get(2)
    assert record.expires_ms is not None
    assert record.expires_ms - (record.finished_ms or 0) == TTL
    before = steps.get(1).revision
    assert steps.cancel(1) is not None
    assert steps.get(1).revision == before


def test_cancelled_members_leave_their_mates_alone(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2, 3)
    (bundle,) = steps.take(threads=1).bundles
    steps.cancel(2)
    answers = steps.start(bundle.dispatch, *bundle.task_ids)
    assert [type(a).__name__ for a in answers] == ["Started", "Refused", "Started"]


def test_flight_comes_due_and_is_postponed(steps: Steps) -> None:
    steps.dispatched(1, check_after_ms=0)
    dispatch, attempt = steps.running(2, check_after_ms=0)
    entries = {entry.task_id: entry for entry in steps.store.due(10)}
    pending, running = entries[ident(1)], entries[ident(2)]
    assert (pending.state, pending.scheduler, pending.run, pending.fence) == (State.PENDING, "Scheduler-1", None, None)
    assert (running.state, running.dispatch, running.run, running.worker) == (State.RUNNING, dispatch, "run-1", "w-1")
    assert (running.fence, running.attempts, running.overdue) == (attempt.fence, 1, False)
    assert (running.deadline, running.computation) == (attempt.deadline_ms, "fib")
    steps.store.postpone([ident(1)], 60_000)
    assert [entry.task_id for entry in steps.store.due(10)] == [ident(2)]
    assert steps.store.due(0) == []


def test_a_deadline_is_looked_at_in_time(steps: Steps) -> None:
    _, attempt = steps.running(1, timeout_ms=100)
    steps.store.postpone([ident(1)], 60_000)
    assert steps.store.due(10) == []
    time.sleep(0.75)
    (entry,) = steps.store.due(10)
    assert entry.overdue
    assert entry.fence == attempt.fence


def test_postponing_what_left_the_flight_brings_nothing_back(steps: Steps) -> None:
    steps.done(1)
    steps.store.postpone([ident(1), ident(2)], 0)
    assert steps.store.depth().flight == 0


def test_a_flight_without_a_record_is_dropped(steps: Steps, raw: redis.Redis) -> None:
    steps.dispatched(1, check_after_ms=0)
    raw.delete(f"{{contract}}:t:{ident(1)}")
    assert steps.store.due(10) == []
    assert steps.store.depth().flight == 0


def test_many_are_put_back_in_chunks(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(*range(700), records=False)
    taken = steps.take(limit=1000)
    items = [Handback(task_id, bundle.dispatch) for bundle in taken.bundles for task_id in bundle.task_ids]
    states = steps.store.requeue(items, Charge.FREE, delay_ms=0, max_attempts=4, reason=REASON, result_ttl_ms=TTL)
    assert states == [State.PENDING] * 700
    assert steps.store.depth().batch == 700
