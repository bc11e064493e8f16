"""Create, join, hit: what a submission meets, and what it may never do twice."""

from __future__ import annotations

import pytest
import redis

from services.compute.models import Outcome, Priority, State
from services.compute.store import Charge, record_json
from tests.contracts.store.steps import REASON, VERSION, Steps, ident, outcomes, taken_numbers

INTERACTIVE = Priority.INTERACTIVE


def test_a_new_task_is_created_once_and_joined_after(steps: Steps) -> None:
    first, second = steps.submit(1, 1)
    assert outcomes([first, second, steps.one(1)]) == [Outcome.CREATED, Outcome.JOINED, Outcome.JOINED]
    assert first.record is not None
    assert (first.state, first.record.revision, first.record.attempts) == (State.PENDING, 1, 0)
    assert (first.record.version, first.record.parameters) == (VERSION, b'{"n":1}')
    assert steps.store.depth().waiting == 1


def test_a_done_task_is_a_hit_with_its_result(steps: Steps) -> None:
    attempt = steps.done(1, b'{"value":55}')
    hit = steps.one(1, priority=INTERACTIVE)
    assert (hit.outcome, hit.state) == (Outcome.HIT, State.DONE)
    assert hit.record is not None
    assert (hit.record.result, hit.record.object, hit.record.fence) == (b'{"value":55}', None, attempt.fence)
    assert steps.store.depth().waiting == 0


def test_a_hit_on_a_large_result_gives_its_reference(steps: Steps) -> None:
    _, attempt = steps.running(1)
    assert steps.finish(attempt, result=None, object="s3://bucket/key")
    record = steps.one(1).record
    assert record is not None
    assert (record.object, record.result) == ("s3://bucket/key", None)


def test_brief_answers_have_no_records(steps: Steps) -> None:
    steps.done(1)
    answers = steps.submit(1, 2, 2, records=False, queue_max=5)
    assert [(a.outcome, a.state, a.record) for a in answers] == [
        (Outcome.HIT, State.DONE, None),
        (Outcome.CREATED, State.PENDING, None),
        (Outcome.JOINED, State.PENDING, None),
    ]


@pytest.mark.parametrize("final", ["FAILED", "CANCELLED"])
def test_what_failed_or_was_cancelled_starts_anew(steps: Steps, raw: redis.Redis, final: str) -> None:
    _, attempt = steps.running(1)
    if final == "FAILED":
        assert steps.finish(attempt, State.FAILED, result=None, error=REASON)
    else:
        steps.cancel(1)
    before = steps.get(1)
    again = steps.one(1)
    assert (again.outcome, again.state) == (Outcome.CREATED, State.PENDING)
    record = again.record
    assert record is not None
    assert record.revision > before.revision
    assert (record.attempts, record.error, record.finished_ms, record.expires_ms, record.fence) == (0,) + (None,) * 4
    assert raw.pttl(f"{{contract}}:t:{ident(1)}") == -1
    assert taken_numbers(steps.take()) == [1]


def test_force_runs_done_anew_and_joins_the_rest(steps: Steps) -> None:
    steps.done(1)
    steps.submit(2)
    assert outcomes(steps.submit(1, 2, force=True)) == [Outcome.CREATED, Outcome.JOINED]
    assert steps.get(1).result is None
    assert outcomes(steps.submit(1, force=True)) == [Outcome.JOINED]


def test_beyond_the_maximum_there_is_no_room(steps: Steps) -> None:
    answers = steps.submit(1, 2, 3, 1, queue_max=2)
    assert outcomes(answers) == [Outcome.CREATED, Outcome.CREATED, None, Outcome.JOINED]
    assert answers[2].full
    assert answers[2].record is None
    assert steps.store.get([ident(3)]) == [None]
    assert outcomes(steps.submit(3, queue_max=2)) == [None]
    assert outcomes(steps.submit(3, queue_max=None)) == [Outcome.CREATED]
    assert steps.submit(4, queue_max=0)[0].full


def test_hits_and_joins_need_no_room(steps: Steps) -> None:
    steps.done(1)
    steps.submit(2)
    assert outcomes(steps.submit(1, 2, queue_max=0)) == [Outcome.HIT, Outcome.JOINED]


def test_a_full_queue_leaves_a_final_record_alone(steps: Steps) -> None:
    steps.submit(1)
    steps.take()
    steps.cancel(1)
    before = steps.get(1)
    assert steps.submit(1, queue_max=0)[0].full
    assert record_json(steps.get(1)) == record_json(before)


def test_admission_counts_what_would_be_new(steps: Steps) -> None:
    steps.done(1)
    steps.submit(2, 3, 4)
    steps.cancel(3)
    ids = [ident(number) for number in (1, 2, 3, 5)]
    admission = steps.store.admit(ids)
    assert (admission.new, admission.waiting) == (2, 3)
    assert steps.store.admit(ids, force=True).new == 3
    assert admission.fits(5)
    assert not admission.fits(4)
    assert steps.store.admit(ids[:1]).fits(0)


def test_cancelling_and_asking_again_keeps_one_entry(steps: Steps) -> None:
    steps.learn()
    for _ in range(5):
        steps.submit(1)
        steps.cancel(1)
    assert outcomes(steps.submit(1)) == [Outcome.CREATED]
    assert steps.store.depth().batch == 1
    for _ in range(3):
        steps.cancel(1)
        steps.submit(1, priority=INTERACTIVE)
    depth = steps.store.depth()
    assert (depth.interactive, depth.batch) == (1, 1)
    assert taken_numbers(steps.take()) == [1]
    assert steps.store.depth().waiting == 0


def test_an_interactive_submission_lifts_a_task_out_of_its_batch(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, 2, 3)
    assert steps.one(3, priority=INTERACTIVE).outcome is Outcome.JOINED
    steps.submit(3, priority=INTERACTIVE)
    taken = steps.take(limit=1)
    assert taken_numbers(taken) == [3]
    assert taken.bundles[0].priority is INTERACTIVE
    assert taken_numbers(steps.take()) == [1, 2]
    assert steps.store.depth().waiting == 0


def test_a_lifted_task_that_is_put_back_is_taken_once(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, 2)
    steps.submit(2, priority=INTERACTIVE)
    dispatch = steps.take(limit=1).bundles[0].dispatch
    assert steps.requeue(Charge.FREE, (2, dispatch)) == [State.PENDING]
    assert sorted(taken_numbers(steps.take())) == [1, 2]
    assert taken_numbers(steps.take()) == []


def test_an_entry_whose_record_is_gone_is_passed_over(steps: Steps, raw: redis.Redis) -> None:
    steps.learn()
    steps.submit(1, 2)
    steps.cancel(1)
    raw.delete(f"{{contract}}:t:{ident(1)}")
    assert taken_numbers(steps.take()) == [2]


def test_a_record_that_expired_and_came_back_is_taken_once(steps: Steps, raw: redis.Redis) -> None:
    steps.learn()
    steps.submit(1)
    steps.cancel(1)
    raw.delete(f"{{contract}}:t:{ident(1)}")
    steps.submit(1)
    taken = steps.take()
    assert taken_numbers(taken) == [1]
    assert taken.depth.waiting == 0


def test_many_go_in_chunks(steps: Steps) -> None:
    answers = steps.submit(*range(1200), records=False)
    assert outcomes(answers) == [Outcome.CREATED] * 1200
    assert steps.store.depth().batch == 1200
    steps.learn(ms=0.01)
    assert len(taken_numbers(steps.take(limit=5000, bound=5000))) == 1200


def test_nothing_submitted_is_nothing_answered(steps: Steps) -> None:
    assert steps.submit() == []
    assert steps.store.get([]) == []
    assert steps.store.cancel([], ttl_ms=1) == []


def test_results_beyond_one_answer_are_fetched(steps: Steps) -> None:
    size = 3 * 1024 * 1024
    for number in range(5):
        steps.done(number, b'"' + b"x" * size + b'"')
    answers = steps.submit(*range(5))
    assert all(a.record is not None and a.record.result is not None and len(a.record.result) > size for a in answers)
    read = steps.store.get([ident(number) for number in range(5)], with_results=True)
    assert [len(record.result) for record in read] == [size + 2] * 5
    assert all(record.result is None for record in steps.store.get([ident(0)]))


def test_the_wire_form_of_a_submission(steps: Steps) -> None:
    record = steps.one(7).record
    assert record is not None
    wire = record.record()
    assert wire.task_id == ident(7)
    assert wire.parameters == {"n": 7}
    assert wire.result_url == f"/api/v1/tasks/{ident(7)}/result"
