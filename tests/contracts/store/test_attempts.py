"""Start, progress, finish: one attempt's life, its fence, and what comes late or twice."""

from __future__ import annotations

from typing import Any

import redis

from services.compute.models import Progress, State, TaskError
from services.compute.store import Charge, Finished, Refused, Started, commands
from tests.contracts.store.steps import REASON, Steps, begun, bundle_of, ident, refusal, taken_numbers


def test_a_start_gives_leave_for_one_attempt(steps: Steps) -> None:
    _, attempt = steps.running(1, timeout_ms=5_000)
    assert (attempt.attempts, attempt.parameters) == (1, b'{"n":1}')
    assert attempt.deadline_ms == attempt.now_ms + 5_000
    record = steps.get(1)
    assert (record.state, record.attempts, record.fence) == (State.RUNNING, 1, attempt.fence)
    assert record.started_ms == attempt.now_ms


def test_fences_rise_and_are_never_used_twice(steps: Steps, raw: redis.Redis) -> None:
    fences = [steps.running(number)[1].fence for number in range(5)]
    raw.delete("{contract}:fence")  # a server that lost its last writes
    fences += [steps.running(number)[1].fence for number in range(5, 10)]
    assert sorted(set(fences)) == fences


def test_a_counter_ahead_of_the_clock_goes_on_rising(steps: Steps, raw: redis.Redis) -> None:
    ahead = 4_000_000_000_000_000
    raw.set("{contract}:fence", ahead)
    assert [steps.running(number)[1].fence for number in range(3)] == [ahead + 1, ahead + 2, ahead + 3]


def test_another_dispatch_may_not_start(steps: Steps) -> None:
    dispatch = steps.dispatched(1)
    assert refusal(steps.start("fib-0000000000000000-0", ident(1))) == "stale"
    assert refusal(steps.start(dispatch, ident(99))) == "stale"
    begun(steps.start(dispatch, ident(1)))


def test_what_was_cancelled_may_not_start(steps: Steps) -> None:
    dispatch = steps.dispatched(1)
    steps.cancel(1)
    assert refusal(steps.start(dispatch, ident(1))) == "stale"
    steps.submit(1)
    assert refusal(steps.start(dispatch, ident(1))) == "stale"


def test_the_same_start_again_is_the_same_grant(steps: Steps) -> None:
    dispatch = steps.dispatched(1)
    command = commands.start(
        dispatch,
        [ident(1)],
        worker="w",
        run="run-1",
        timeout_ms=1000,
        max_attempts=4,
        result_ttl_ms=1000,
        check_after_ms=60_000,
    )
    first, second = (_send(steps, command) for _ in range(2))  # the answer to the first was lost
    assert isinstance(first, Started)
    assert isinstance(second, Started)
    assert (first.fence, first.attempts, first.deadline_ms) == (second.fence, second.attempts, second.deadline_ms)
    assert first.parameters == second.parameters
    assert steps.get(1).attempts == 1


def test_a_process_that_runs_a_member_is_not_given_it_twice(steps: Steps) -> None:
    dispatch, attempt = steps.running(1)
    assert refusal(steps.start(dispatch, ident(1))) == "running"
    assert steps.finish(attempt)


def test_a_rerun_elsewhere_puts_a_begun_member_back(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2)
    dispatch = bundle_of(steps.take(threads=1), 1).dispatch
    attempt = begun(steps.start(dispatch, ident(1)))
    lost, fresh = steps.start(dispatch, ident(1), ident(2), run="run-2")
    assert isinstance(lost, Refused)
    assert lost.reason.value == "requeued"
    assert isinstance(fresh, Started)
    assert not steps.finish(attempt)
    record = steps.get(1)
    assert (record.state, record.attempts, record.fence) == (State.PENDING, 1, None)
    taken = steps.take()
    assert taken_numbers(taken) == [1]
    assert begun(steps.start(taken.bundles[0].dispatch, ident(1), run="run-2")).attempts == 2


def test_who_is_lost_among_others_goes_back_uncharged_once_and_alone(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2, 3)
    (bundle,) = steps.take(threads=1).bundles
    attempts = steps.start(bundle.dispatch, ident(1), ident(2))
    lost = steps.start(bundle.dispatch, ident(1), ident(2), run="run-2", max_attempts=1)
    assert [isinstance(each, Refused) and each.reason.value for each in lost] == ["requeued", "requeued"]
    assert not any(steps.finish(each) for each in attempts if isinstance(each, Started))
    for number in (1, 2):
        record = steps.get(number)
        assert (record.state, record.attempts, record.fence) == (State.PENDING, 0, None)

    steps.submit(4)
    steps.requeue(Charge.FREE, (3, bundle.dispatch))
    taken = steps.take(threads=1)
    assert sorted(len(each.task_ids) for each in taken.bundles) == [1, 1, 2]
    dispatch = bundle_of(taken, 1).dispatch
    assert begun(steps.start(dispatch, ident(1), max_attempts=1)).attempts == 1
    assert refusal(steps.start(dispatch, ident(1), run="run-2", max_attempts=1)) == "failed"
    steps.submit(1)
    steps.requeue(Charge.FREE, (3, bundle_of(taken, 3).dispatch))
    assert len(bundle_of(steps.take(threads=1), 1).task_ids) == 2, "asked for anew, it may travel with others again"


def test_who_began_alone_pays_though_it_travelled_with_others(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2)
    (bundle,) = steps.take(threads=1).bundles
    begun(steps.start(bundle.dispatch, ident(1)))
    assert refusal(steps.start(bundle.dispatch, ident(1), run="run-2", max_attempts=1)) == "failed"
    begun(steps.start(bundle.dispatch, ident(2), run="run-2", max_attempts=1))


def test_a_rerun_after_the_last_attempt_fails(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    assert refusal(steps.start(dispatch, ident(1), run="run-2", max_attempts=1)) == "failed"
    record = steps.get(1)
    error = TaskError.model_validate_json(record.error or b"")
    assert (record.state, error.type) == (State.FAILED, "worker_lost")
    assert "w-1" in error.message


def test_only_the_current_fence_may_finish(steps: Steps) -> None:
    dispatch, old = steps.running(1)
    steps.requeue(Charge.FREE, (1, dispatch))
    assert not steps.finish(old)
    assert steps.get(1).state is State.PENDING
    again = steps.take().bundles[0].dispatch
    assert not steps.finish(old)
    new = begun(steps.start(again, ident(1)))
    assert not steps.finish(old, result=b'"old"')
    assert steps.finish(new, result=b'"new"')
    assert not steps.finish(old, result=b'"old"')
    assert steps.get(1).result == b'"new"'


def test_a_cancelled_run_writes_nothing_after_a_new_start(steps: Steps) -> None:
    _, old = steps.running(1)
    steps.cancel(1)
    assert not steps.finish(old)
    assert not steps.store.progress(ident(1), old.fence, Progress(done=1))
    steps.submit(1)
    assert not steps.finish(old)
    assert not steps.store.progress(ident(1), old.fence, Progress(done=1))
    record = steps.get(1)
    assert (record.state, record.progress) == (State.PENDING, None)


def test_the_same_finish_again_is_accepted_again(steps: Steps) -> None:
    _, attempt = steps.running(1)
    assert steps.finish(attempt)
    before = steps.get(1).revision
    assert steps.finish(attempt)
    assert not steps.finish(attempt, State.FAILED, result=None, error=REASON)
    assert steps.get(1).revision == before


def test_an_end_after_the_reconciler_s_is_refused(steps: Steps) -> None:
    _, attempt = steps.running(1)
    assert steps.finish(attempt, State.FAILED, result=None, error=TaskError(type="timeout", message="late"))
    assert not steps.finish(attempt, result=b"1")
    assert steps.get(1).result is None


def test_a_failure_keeps_its_reason(steps: Steps) -> None:
    _, attempt = steps.running(1)
    error = TaskError(type="ValueError", message='ein "Fehler" / é 💥\n')
    assert steps.finish(attempt, State.FAILED, result=None, error=error)
    record = steps.get(1)
    assert (record.state, record.record().error) == (State.FAILED, error)
    assert record.finished_ms is not None
    assert record.expires_ms == record.finished_ms + 60_000


def test_progress_is_kept_and_raises_the_revision(steps: Steps) -> None:
    _, attempt = steps.running(1)
    before = steps.get(1).revision
    value = Progress(done=1, total=2, message="half")
    assert steps.store.progress(ident(1), attempt.fence, value)
    record = steps.get(1)
    assert (record.revision, record.record().progress) == (before + 1, value)
    assert steps.finish(attempt)
    assert not steps.store.progress(ident(1), attempt.fence, value)
    assert steps.get(1).record().progress == value


def test_progress_of_a_superseded_attempt_is_refused(steps: Steps) -> None:
    dispatch, old = steps.running(1)
    steps.requeue(Charge.FREE, (1, dispatch))
    new = begun(steps.start(steps.take().bundles[0].dispatch, ident(1)))
    assert steps.store.progress(ident(1), new.fence, Progress(done=2))
    before = steps.get(1)
    assert not steps.store.progress(ident(1), old.fence, Progress(done=1))
    assert steps.get(1).fields == before.fields


def test_an_attempt_put_back_starts_without_the_old_progress(steps: Steps) -> None:
    dispatch, attempt = steps.running(1)
    steps.store.progress(ident(1), attempt.fence, Progress(done=1))
    steps.requeue(Charge.ATTEMPT, (1, dispatch))
    record = steps.get(1)
    assert (record.progress, record.started_ms) == (None, None)


def test_revisions_only_rise(steps: Steps) -> None:
    seen = [steps.one(1).record]
    steps.learn()
    dispatch = steps.take().bundles[0].dispatch
    attempt = begun(steps.start(dispatch, ident(1)))
    seen.append(steps.get(1))
    steps.store.progress(ident(1), attempt.fence, Progress(done=1))
    seen.append(steps.get(1))
    steps.finish(attempt)
    seen.append(steps.get(1))
    seen.append(steps.one(1, force=True).record)
    seen.append(steps.cancel(1))
    seen.append(steps.one(1).record)
    revisions = [record.revision for record in seen if record is not None]
    assert sorted(set(revisions)) == revisions
    assert len(revisions) == 7


def test_durations_are_a_moving_average(steps: Steps) -> None:
    steps.store.finish([], {"fib": (2, 200.0), "svd": (1, 5.0)})
    assert steps.store.durations() == {"fib": 100.0, "svd": 5.0}
    steps.store.finish([], {"fib": (1, 200.0)})
    assert steps.store.durations()["fib"] == 110.0
    steps.store.finish([], {"fib": (1000, 2000.0)})
    assert abs(steps.store.durations()["fib"] - 2.0) < 0.1


def test_many_ends_in_one_call(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(*range(300), records=False)
    (bundle,) = steps.take(limit=300, threads=1).bundles
    attempts = steps.start(bundle.dispatch, *bundle.task_ids)
    assert len({a.fence for a in attempts if isinstance(a, Started)}) == 300
    ends: list[Any] = [a for a in attempts if isinstance(a, Started)]
    items = [Finished(a.task_id, a.fence + (i == 7), State.DONE, 60_000, b"1") for i, a in enumerate(ends)]
    accepted = steps.store.finish(items, {"fib": (300, 30.0)})
    assert [i for i, ok in enumerate(accepted) if not ok] == [7]
    assert steps.store.depth().flight == 1


def _send(steps: Steps, command: Any) -> Any:
    inner = steps.store
    (answer,) = inner._run(command)
    return answer
