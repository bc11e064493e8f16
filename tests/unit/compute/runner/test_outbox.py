"""Outcomes on their way to a Redis that is slow, away or refuses."""

from __future__ import annotations

import threading
import time

from services.compute.models import State
from services.compute.runner.outbox import CHUNK, Outbox
from services.compute.store.types import Finished
from tests.harness.waiting import eventually
from tests.unit.compute.runner.doubles import FakeStore, ids


def outcomes(count: int) -> list[Finished]:
    return [Finished(task_id, n, State.DONE, 1000, b"1") for n, task_id in enumerate(ids(count), 1)]


def accepting(count: int) -> FakeStore:
    store = FakeStore()
    store.running = {task_id: n for n, task_id in enumerate(ids(count), 1)}
    return store


def test_many_outcomes_travel_in_chunks() -> None:
    store = accepting(CHUNK + 1)
    outbox = Outbox(store)
    for outcome in outcomes(CHUNK + 1):
        outbox.add(outcome, "double", 0.001)
    outbox.flush()
    assert [len(call) for call in store.finishes] == [CHUNK, 1]
    assert store.durations["double"][0] == CHUNK + 1


def test_outcomes_survive_a_redis_that_comes_back() -> None:
    store = accepting(3)
    outbox = Outbox(store)
    store.away = True
    for outcome in outcomes(3):
        outbox.add(outcome)
    threads = [threading.Thread(target=outbox.flush) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert all(thread.is_alive() for thread in threads), "who flushes waits until it is stored"
    store.away = False
    for thread in threads:
        thread.join(5)
    assert len(store.finished) == 3
    assert len(store.finishes) == 1


def test_outcomes_are_given_up_after_their_time() -> None:
    store = accepting(1)
    store.away = True
    outbox = Outbox(store, keep_for=0.3)
    outbox.add(outcomes(1)[0])
    began = time.monotonic()
    outbox.flush()
    assert 0.2 < time.monotonic() - began < 3
    assert not store.finished


def test_the_end_of_a_drain_ends_the_wait() -> None:
    store = accepting(1)
    store.away = True
    outbox = Outbox(store, keep_for=60)
    outbox.add(outcomes(1)[0])
    thread = threading.Thread(target=outbox.flush)
    thread.start()
    outbox.end_by(time.monotonic() + 0.3)
    thread.join(5)
    assert not thread.is_alive()


def test_refused_outcomes_are_told() -> None:
    told: list[Finished] = []
    outbox = Outbox(FakeStore(), refused=told.extend)
    outbox.add(outcomes(1)[0])
    outbox.flush()
    eventually(lambda: told, "the refusal is told")


def test_an_error_that_should_not_be_does_not_stop_the_others() -> None:
    class Broken(FakeStore):
        def finish(self, *args: object, **kwargs: object) -> list[bool]:
            raise KeyError("a bug")

    outbox = Outbox(Broken())
    outbox.add(outcomes(1)[0])
    outbox.flush()
    assert not outbox.due(0)
