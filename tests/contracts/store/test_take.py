"""Popping, bundling, pacing, versions and the bound: what one take may dispatch."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from services.compute.models import Priority, State, TaskError
from services.compute.settings import RedisSettings
from services.compute.store import Charge, Store
from tests.contracts.store.steps import VERSION, Steps, ident, taken_numbers

OTHER = "fedcba9876543210"


def test_interactive_tasks_overtake_batches(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, 2)
    steps.submit(3, priority=Priority.INTERACTIVE)
    taken = steps.take()
    assert taken_numbers(taken) == [3, 1, 2]
    assert [b.priority for b in taken.bundles] == [Priority.INTERACTIVE, Priority.BATCH, Priority.BATCH]


def test_a_bundle_names_its_dispatch(steps: Steps) -> None:
    steps.learn()
    steps.learn("svd")
    steps.submit(1, 2)
    steps.submit(1, name="svd")
    bundles = steps.take(dispatch_hex="00112233445566ff").bundles
    assert [b.dispatch for b in bundles] == [f"{n}-00112233445566ff-{i}" for i, n in enumerate(["fib", "fib", "svd"])]
    assert {(b.computation, b.version) for b in bundles} == {("fib", VERSION), ("svd", VERSION)}


def test_dispatches_are_new_each_time(steps: Steps) -> None:
    steps.learn()
    steps.submit(1, 2)
    assert steps.take(limit=1).bundles[0].dispatch != steps.take(limit=1).bundles[0].dispatch


@pytest.mark.parametrize(
    ("ms", "count", "threads", "sizes"),
    [
        (10.0, 40, 2, [10, 10, 10, 10]),  # as many as run in 100 ms
        (10.0, 6, 2, [3, 3]),  # never so few that a thread idles
        (0.001, 90, 4, [23, 23, 23, 21]),
        (0.001, 90, 1, [30, 30, 30]),  # at most max_bundle
        (250.0, 3, 1, [1, 1, 1]),  # longer than the target: alone
    ],
)
def test_bundles_follow_learned_durations(steps: Steps, ms: float, count: int, threads: int, sizes: list[int]) -> None:
    steps.learn(ms=ms)
    steps.submit(*range(count))
    taken = steps.take(threads=threads, max_bundle=30)
    assert [len(b.task_ids) for b in taken.bundles] == sizes
    assert taken_numbers(taken) == list(range(count))


def test_a_task_that_was_charged_travels_alone(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    for _ in range(60):
        steps.learn(ms=0.01)
    assert steps.requeue(Charge.ATTEMPT, (1, dispatch)) == [State.PENDING]
    steps.submit(2, 3, 4, 5)
    assert [len(b.task_ids) for b in steps.take(threads=1).bundles] == [1, 4]


def test_a_drained_task_travels_alone(steps: Steps) -> None:
    dispatch, _ = steps.running(1)
    for _ in range(60):
        steps.learn(ms=0.01)
    steps.requeue(Charge.DRAIN, (1, dispatch))
    steps.submit(2, 3)
    assert [len(b.task_ids) for b in steps.take(threads=1).bundles] == [1, 2]


def test_the_first_tasks_of_a_computation_teach_its_duration(steps: Steps) -> None:
    steps.submit(*range(50))
    first = steps.take(threads=2)
    assert [len(b.task_ids) for b in first.bundles] == [1] * 8
    assert first.paced
    assert steps.take(threads=2).bundles == ()
    assert steps.store.durations() == {}
    steps.learn(ms=1.0)
    rest = steps.take(threads=2)
    assert not rest.paced
    assert taken_numbers(first) + taken_numbers(rest) == list(range(50))
    assert len(rest.bundles) == 2


def test_what_teaches_nothing_for_a_second_is_taken_one_by_one(steps: Steps) -> None:
    steps.submit(*range(50))
    steps.take(threads=2)
    time.sleep(1.1)
    taken = steps.take(threads=2)
    assert [len(b.task_ids) for b in taken.bundles] == [1] * 42


def test_an_unknown_computation_holds_nobody_else_up(steps: Steps) -> None:
    steps.learn("svd")
    steps.submit(*range(20))
    steps.submit(1, 2, name="svd")
    assert [b.computation for b in steps.take(threads=1).bundles] == ["fib"] * 4 + ["svd"] * 2


def test_a_later_single_task_of_an_unknown_computation_goes_at_once(steps: Steps) -> None:
    for number in range(3):
        steps.submit(number, priority=Priority.INTERACTIVE)
        assert taken_numbers(steps.take()) == [number]


def test_the_bound_holds_over_all_that_take(steps: Steps, settings: RedisSettings) -> None:
    steps.learn(ms=0.01)
    steps.submit(*range(2000), records=False)
    counts: list[int] = []

    def take_all() -> None:
        store = Store.from_settings(settings)
        mine = Steps(store)
        counts.extend(len(taken_numbers(mine.take(limit=50, bound=300))) for _ in range(10))
        store.close()

    threads = [threading.Thread(target=take_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 300
    depth = steps.store.depth()
    assert (depth.flight, depth.batch) == (300, 1700)
    assert steps.take(bound=300).bundles == ()


def test_no_worker_means_nothing_is_taken_and_nobody_fails(steps: Steps) -> None:
    steps.submit(1)
    taken = steps.take(versions={}, version_wait_ms=0)
    assert (taken.bundles, taken.failed, taken.depth.waiting) == ((), (), 1)


def test_a_version_that_nobody_holds_waits_without_cost(steps: Steps, raw: redis.Redis) -> None:
    steps.learn()
    steps.submit(1)
    assert steps.take(versions={"fib": [OTHER]}).depth.delayed == 1
    assert steps.take().bundles == ()
    assert steps.get(1).state is State.PENDING
    _now_due(raw)
    assert taken_numbers(steps.take(versions={"fib": [OTHER, VERSION]})) == [1]
    assert steps.get(1).attempts == 0


def test_a_version_that_nobody_holds_for_too_long_fails(steps: Steps, raw: redis.Redis) -> None:
    steps.learn()
    steps.submit(1, 2)
    steps.take(versions={"fib": [OTHER]}, version_wait_ms=100)
    time.sleep(0.15)
    _now_due(raw)
    taken = steps.take(versions={"fib": [OTHER]}, version_wait_ms=100)
    assert sorted(taken.failed) == [ident(1), ident(2)]
    record = steps.get(1)
    assert record.state is State.FAILED
    error = TaskError.model_validate_json(record.error or b"")
    assert error.type == "version_unavailable"
    assert VERSION in error.message
    assert record.attempts == 0


def test_being_held_in_between_forgets_the_wait(steps: Steps, raw: redis.Redis) -> None:
    steps.learn()
    steps.submit(1)
    steps.take(versions={"fib": [OTHER]}, version_wait_ms=100)
    time.sleep(0.15)
    _now_due(raw)
    dispatch = steps.take(version_wait_ms=100).bundles[0].dispatch
    steps.requeue(Charge.FREE, (1, dispatch))
    taken = steps.take(versions={"fib": [OTHER]}, version_wait_ms=100)
    assert (taken.failed, taken.depth.delayed) == ((), 1)


def test_versions_of_one_computation_travel_apart(steps: Steps) -> None:
    steps.learn(ms=0.01)
    steps.submit(1, 2)
    steps.store.submit([(ident(3), OTHER, b"{}")], priority=Priority.BATCH)
    taken = steps.take(versions={"fib": [VERSION, OTHER]}, threads=1)
    assert {b.version: len(b.task_ids) for b in taken.bundles} == {VERSION: 2, OTHER: 1}


def test_a_thousand_stale_entries_do_not_stop_a_take_for_ever(steps: Steps) -> None:
    steps.learn()
    steps.submit(*range(3000), records=False)
    steps.store.cancel([ident(number) for number in range(2999)], ttl_ms=60_000)
    found: list[int] = []
    for _ in range(5):
        found += taken_numbers(steps.take(limit=10))
    assert found == [2999]
    assert steps.store.depth().waiting == 0


def _now_due(raw: redis.Redis) -> None:
    waiting: Any = raw.zrange("{contract}:delayed", 0, -1)
    raw.zadd("{contract}:delayed", dict.fromkeys(waiting, 1))
