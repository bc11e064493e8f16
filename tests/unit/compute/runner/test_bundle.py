"""A bundle's members, each with an outcome of its own."""

from __future__ import annotations

import threading
import time

import pytest

from services.compute import Retry, report_progress
from services.compute.errors import TaskCancelled
from services.compute.models import State
from services.compute.runner import Limits, install, run_bundle
from services.compute.store.types import Charge, Refusal
from tests.harness.waiting import eventually
from tests.unit.compute.runner.doubles import DISPATCH, FakeObjects, FakeStore, ids, make, run, runner, running


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def test_members_end_each_in_its_own_way(store: FakeStore) -> None:
    def double(n: int) -> float:
        if n == 1:
            raise ValueError("one is not allowed")
        return float("nan") if n == 2 else n * 2

    known = make(double)
    members = ids(4)
    store.parameters = {task_id: b'{"n": %d}' % n for n, task_id in enumerate(members)}
    with runner(store, known):
        run(known, members)
    outcomes = [store.finished[task_id] for task_id in members]
    assert [outcome.state for outcome in outcomes] == [State.DONE, State.FAILED, State.DONE, State.DONE]
    assert [outcome.result for outcome in outcomes] == [b"0.0", None, b'"NaN"', b"6.0"]
    error = outcomes[1].error
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "one is not allowed")
    assert store.durations["double"][0] == 3
    assert not store.running


def test_members_start_in_slices_and_their_outcomes_share_round_trips(store: FakeStore) -> None:
    def double(n: int = 1) -> int:
        return n

    known = make(double)
    with runner(store, known):
        run(known, ids(300))
    assert len(store.starts[0]) == 1
    assert len(store.starts) < 30
    assert len(store.finishes) < 10
    assert len(store.finished) == 300


def test_slow_members_start_one_at_a_time(store: FakeStore) -> None:
    def double() -> None:
        time.sleep(0.03)

    known = make(double)
    with runner(store, known):
        run(known, ids(5))
    assert [len(started) for started in store.starts] == [1] * 5


def test_a_refused_member_does_not_run(store: FakeStore) -> None:
    ran: list[int] = []

    def double() -> None:
        ran.append(1)

    known = make(double)
    store.refuse = {ids(2)[0]: Refusal.STALE}
    with runner(store, known):
        run(known, ids(2))
    assert len(ran) == 1
    assert set(store.finished) == {ids(2)[1]}


def test_a_member_whose_start_was_not_heard_goes_back_uncharged(store: FakeStore) -> None:
    def double() -> None:
        raise AssertionError("it must not run")

    known = make(double)
    store.refuse = {ids(1)[0]: Refusal.RUNNING}
    with runner(store, known):
        run(known, ids(1))
    assert [(task_id, charge) for task_id, charge, *_ in store.returned] == [(ids(1)[0], Charge.FREE)]


def test_another_version_sends_all_members_back_uncharged(store: FakeStore) -> None:
    def double() -> None:
        raise AssertionError("it must not run")

    known = make(double)
    with runner(store, known):
        run_bundle(DISPATCH, "double", "2", ids(2))
        run_bundle(DISPATCH, "unknown", "1", ids(1))
    assert [(charge, 1000 <= delay <= 2000) for _, charge, delay, _ in store.returned] == [(Charge.FREE, True)] * 3
    assert not store.starts


def test_retry_goes_back_as_a_charged_attempt(store: FakeStore) -> None:
    def double() -> None:
        raise Retry("the instrument is busy", delay=3.0)

    known = make(double)
    with runner(store, known):
        run(known, ids(1))
    ((_, charge, delay, reason),) = store.returned
    assert charge is Charge.RETRY
    assert 3000 <= delay <= 3300
    assert reason.message == "the instrument is busy"


def test_a_huge_message_and_an_exit_are_failures_of_the_member_only(store: FakeStore) -> None:
    def double(n: int) -> None:
        if n == 0:
            raise ValueError("é" * 1_000_000)
        if n == 1:
            raise SystemExit(3)

    known = make(double)
    store.parameters = {task_id: b'{"n": %d}' % n for n, task_id in enumerate(ids(3))}
    with runner(store, known):
        run(known, ids(3))
    huge, leaving, fine = (store.finished[task_id] for task_id in ids(3))
    assert huge.error is not None
    assert len(huge.error.message.encode()) <= 2048
    assert "1,000,000 characters" in huge.error.message
    assert leaving.error is not None
    assert leaving.error.type == "SystemExit"
    assert fine.state is State.DONE


def test_results_overflow_to_the_object_store_or_fail(store: FakeStore) -> None:
    def double(n: int) -> str:
        return "x" * n

    known = make(double)
    store.parameters = {task_id: b'{"n": %d}' % n for task_id, n in zip(ids(3), (10, 200, 2000), strict=True)}
    objects = FakeObjects()
    with runner(store, known, objects=objects, limits=Limits(inline=100, result=1000)):
        run(known, ids(3))
    small, large, excessive = (store.finished[task_id] for task_id in ids(3))
    assert small.result == b'"xxxxxxxxxx"'
    assert large.object is not None
    assert len(objects.kept[large.object]) == 202
    assert excessive.error is not None
    assert excessive.error.type == "result_too_large"


def test_without_an_object_store_large_results_fail(store: FakeStore) -> None:
    def double() -> str:
        return "x" * 200

    known = make(double)
    with runner(store, known, limits=Limits(inline=100, result=1000)):
        run(known, ids(1))
    error = store.finished[ids(1)[0]].error
    assert error is not None
    assert error.type == "result_too_large"


def test_an_unserialisable_result_is_a_failure(store: FakeStore) -> None:
    def double() -> int:
        return object()  # type: ignore[return-value]

    known = make(double)
    with runner(store, known):
        run(known, ids(1))
    error = store.finished[ids(1)[0]].error
    assert error is not None
    assert error.type == "unserialisable_result"


def test_a_cancelled_member_stops_at_its_next_report_and_its_mates_go_on(store: FakeStore) -> None:
    stopped: list[str] = []
    first = ids(2)[0]

    def double(n: int) -> int:
        if n == 0:
            store.running.pop(first)  # as `cancel` does
            try:
                report_progress(1, 2, "half")
            except TaskCancelled:
                stopped.append("cancelled")
                raise
        return n

    known = make(double)
    store.parameters = {task_id: b'{"n": %d}' % n for n, task_id in enumerate(ids(2))}
    with runner(store, known):
        run(known, ids(2))
    assert stopped == ["cancelled"]
    assert set(store.finished) == {ids(2)[1]}


def test_reports_in_quick_succession_are_merged_and_the_last_is_written(store: FakeStore) -> None:
    def double() -> None:
        for n in range(100):
            report_progress(n, 100)
        time.sleep(0.3)

    known = make(double)
    with runner(store, known):
        run(known, ids(1))
    assert 2 <= len(store.reports) <= 5
    assert store.reports[-1][1].done == 99


def test_progress_does_not_need_redis(store: FakeStore) -> None:
    def double() -> int:
        store.away = True
        report_progress(1)
        store.away = False
        return 1

    known = make(double)
    with runner(store, known):
        run(known, ids(1))
    assert store.finished[ids(1)[0]].state is State.DONE


def test_a_member_past_its_deadline_is_failed_while_it_sleeps_and_the_process_is_to_be_replaced(
    store: FakeStore,
) -> None:
    overdue = threading.Event()

    def double() -> None:
        time.sleep(2.0)

    known = make(double, timeout=0.3)
    with runner(store, known, on_overdue=overdue.set) as context, running(known, ids(2)):
        eventually(lambda: ids(1)[0] in store.finished, "it is FAILED")
        assert not overdue.is_set()
        assert store.returned[0][:2] == (ids(2)[1], Charge.FREE)
        assert overdue.wait(3)
        assert context.running() == []
        assert context.abandoned() == {DISPATCH}
    error = store.finished[ids(1)[0]].error
    assert error is not None
    assert error.type == "timeout"
    assert "0.3 s" in error.message


def test_code_that_stops_at_its_deadline_needs_no_new_process(store: FakeStore) -> None:
    overdue = threading.Event()

    def double() -> None:
        for n in range(1000):
            time.sleep(0.02)
            report_progress(n)

    known = make(double, timeout=0.3)
    with runner(store, known, on_overdue=overdue.set):
        run(known, ids(1))
        time.sleep(1.2)
    assert not overdue.is_set()
    error = store.finished[ids(1)[0]].error
    assert error is not None
    assert error.type == "timeout"


def test_a_bundle_over_its_budget_gives_back_what_has_not_begun(store: FakeStore) -> None:
    release = threading.Event()

    def double(n: int = 0) -> None:
        if n == 1:
            release.wait(5)

    known = make(double)
    members = ids(10)
    store.parameters = {members[3]: b'{"n": 1}'}
    with runner(store, known), running(known, members):
        eventually(lambda: len(store.returned) == 6, "the others go back")
        eventually(lambda: len(store.finished) == 3, "what ended is stored")
        release.set()
    assert [task_id for task_id, *_ in store.returned] == members[4:]
    assert {charge for _, charge, *_ in store.returned} == {Charge.FREE}
    assert set(store.finished) == set(members[:4])


def test_surrender_returns_the_running_member_as_the_drains_fault(store: FakeStore) -> None:
    release = threading.Event()

    def double() -> None:
        release.wait(5)

    known = make(double)
    with runner(store, known) as context, running(known, ids(2)):
        eventually(lambda: store.starts, "it runs")
        assert context.surrender(Charge.DRAIN) == 2
        context.close(time.monotonic() + 1)
        assert {(task_id, charge) for task_id, charge, *_ in store.returned} == {
            (task_id, Charge.DRAIN) for task_id in ids(2)
        }
        release.set()
    assert not store.finished


def test_a_draining_process_sends_new_bundles_back(store: FakeStore) -> None:
    def double() -> None:
        raise AssertionError("it must not run")

    known = make(double)
    with runner(store, known) as context:
        context.drain()
        run(known, ids(2))
    assert [charge for _, charge, *_ in store.returned] == [Charge.FREE] * 2


def test_the_same_bundle_sent_again_waits_for_the_first_run(store: FakeStore) -> None:
    ran: list[int] = []

    def double() -> None:
        ran.append(1)
        time.sleep(0.3)

    known = make(double)
    with runner(store, known), running(known, ids(1)):
        eventually(lambda: ran, "it runs")
        run(known, ids(1))
        assert ids(1)[0] in store.finished
    assert ran == [1]


def test_with_one_attempt_what_ended_is_stored_before_others_start(store: FakeStore) -> None:
    unsaved: list[int] = []

    def double() -> None:
        unsaved.append(len(store.running))
        time.sleep(0.012)

    known = make(double, max_attempts=1)
    with runner(store, known):
        run(known, ids(5))
    assert unsaved == [1] * 5


def test_who_swallows_exceptions_is_stopped_all_the_same(store: FakeStore) -> None:
    went_on: list[int] = []

    def double() -> None:
        store.running.clear()  # as `cancel` does
        for n in range(100):
            try:
                report_progress(n)
            except Exception:
                went_on.append(n)
            time.sleep(0.06)
            went_on.append(n)

    known = make(double)
    with runner(store, known):
        run(known, ids(1))
    assert len(went_on) <= 2
    assert not store.finished


def test_start_waits_for_redis(store: FakeStore) -> None:
    def double() -> int:
        return 1

    known = make(double)
    store.away = True
    with runner(store, known), running(known, ids(1)):
        time.sleep(0.3)
        store.away = False
        eventually(lambda: store.finished, "it runs when Redis is back")


def test_a_process_that_is_no_worker_says_so() -> None:
    install(None)
    with pytest.raises(RuntimeError, match=r"python -m services\.worker"):
        run_bundle(DISPATCH, "double", "1", ids(1))
