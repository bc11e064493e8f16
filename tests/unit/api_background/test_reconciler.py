"""The reconciler's rounds against a store and a cluster that do as told."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from services.api import reconcile
from services.api.metrics import Metrics
from services.api.plan import Snapshot
from services.api.reconcile import PAGE, Reconciler
from services.compute.models import State
from services.compute.store.types import Charge, FlightEntry, Handback
from tests.unit.api_background.doubles import FakeDask, FakeStore, settings, until
from tests.unit.api_background.test_verdicts import KEY, LATE, PENDING, RUNNING


class Bench:
    def __init__(self, **options: Any) -> None:
        self.store, self.dask, self.metrics = FakeStore(), FakeDask(), Metrics()
        self.now = 1000.0
        self.woken = 0
        self.reconciler = self.another(**options)

    def another(self, **options: Any) -> Reconciler:
        return Reconciler(
            self.store.as_store(),
            self.dask,
            {},
            settings(),
            self.metrics,
            self._wake,
            clock=lambda: self.now,
            **options,
        )

    def _wake(self) -> None:
        self.woken += 1

    async def round(self, seconds: float = 1.0) -> None:
        self.store.postponed.clear()
        await self.reconciler.round()
        self.now += seconds


def numbered(entry: FlightEntry, count: int) -> list[FlightEntry]:
    return [replace(entry, task_id=f"f-{n}", dispatch=f"{KEY}{n // 10}") for n in range(count)]


async def test_what_never_arrived_is_sent_again_and_the_dispatcher_woken() -> None:
    bench = Bench()
    bench.store.flight = numbered(PENDING, 3)
    await bench.round()
    ((items, charge, arguments),) = bench.store.requeued
    assert [item.task_id for item in items] == ["f-2", "f-1", "f-0"], "put at the head one by one, the order stays"
    assert (charge, arguments["delay_ms"], bench.woken) == (Charge.FREE, 0, 1)


async def test_each_key_is_asked_for_once_and_healthy_tasks_are_postponed() -> None:
    bench = Bench()
    bench.store.flight = numbered(PENDING, 25)
    bench.dask.states = {f"{KEY}{n}": "queued" for n in range(3)}
    await bench.round()
    assert bench.dask.asked == [[f"{KEY}{n}" for n in range(3)]]
    assert bench.store.postponed == {f"f-{n}": 500 for n in range(25)}
    assert not bench.store.requeued


async def test_a_lost_attempt_is_charged_after_the_patience_and_names_the_worker() -> None:
    bench = Bench()
    bench.dask.states = {KEY: "processing"}
    bench.dask.snapshot = Snapshot("S1", "tcp://s", ())
    bench.store.flight = [RUNNING]
    await bench.round(0.9)
    assert bench.store.postponed == {"f-1": reconcile.SUSPECT_MS}
    assert not bench.store.requeued
    await bench.round(0.2)
    assert not bench.store.requeued, "patience is twice the grace, 1 s here"
    await bench.round()
    ((items, charge, arguments),) = bench.store.requeued
    assert (items, charge) == ([Handback("f-1", KEY)], Charge.ATTEMPT)
    assert arguments["max_attempts"] == 4
    assert 500 <= arguments["delay_ms"] <= 1500
    assert arguments["reason"].type == "worker_lost"
    assert "machine-0" in arguments["reason"].message


async def test_a_suspect_that_recovers_is_trusted_again() -> None:
    bench = Bench()
    bench.store.flight = [RUNNING]
    for state in (None, "processing", None, None):
        bench.dask.states = {KEY: state}
        await bench.round(0.8)
    assert not bench.store.requeued, "its suspicion began anew"
    await bench.round()
    assert len(bench.store.requeued) == 1


async def test_deadlines_hold_while_no_scheduler_answers_and_nothing_else_is_done() -> None:
    bench = Bench()
    bench.dask.snapshot = None
    bench.store.flight = [LATE, replace(PENDING, task_id="f-2"), replace(RUNNING, task_id="f-3")]
    await bench.round()
    (end,) = bench.store.finished
    assert (end.task_id, end.fence, end.state) == ("f-1", 7, State.FAILED)
    assert end.error is not None
    assert end.error.type == "timeout"
    assert set(bench.store.postponed) == {"f-2", "f-3"}
    assert not bench.store.requeued


async def test_a_silent_scheduler_is_asked_once_in_a_round() -> None:
    bench = Bench()
    bench.dask.refuses = True
    bench.store.flight = numbered(PENDING, 2 * PAGE + 1)
    await bench.round()
    assert len(bench.dask.asked) == 1
    assert len(bench.store.postponed) == 2 * PAGE + 1
    assert not bench.store.requeued


async def test_very_many_tasks_are_looked_at_less_often() -> None:
    bench = Bench()
    bench.store.flight = numbered(PENDING, 4 * PAGE)
    bench.dask.states = {f"{KEY}{n}": "queued" for n in range(PAGE)}
    await bench.round()
    assert max(bench.store.postponed.values()) == 1000
    assert min(bench.store.postponed.values()) == 500


async def test_one_holder_at_a_time_and_a_released_lease_is_free() -> None:
    bench = Bench()
    other = bench.another()
    bench.store.flight = [PENDING]
    await bench.reconciler.round()
    await other.round()
    assert (bench.reconciler.holder, other.holder) == (True, False)
    await bench.reconciler.close()
    await other.round()
    assert other.holder


async def test_errors_are_survived() -> None:
    bench = Bench()
    bench.store.away = True
    task = asyncio.create_task(bench.reconciler.run())
    await asyncio.sleep(0.05)
    bench.store.away = False
    bench.store.flight = [PENDING]
    await until(lambda: bench.store.requeued)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_holder_sweeps_hourly_in_a_thread_and_survives_its_failure() -> None:
    swept: list[threading.Thread] = []

    def sweep() -> int:
        swept.append(threading.current_thread())
        raise OSError("disk gone")

    bench = Bench(sweep=sweep)
    await bench.round(reconcile.SWEEP_S + 1)
    assert not swept
    for _ in range(3):
        await bench.round(1.0)
    await until(lambda: 'loop="sweep"' in bench.metrics.render().decode())
    assert len(swept) == 1
    assert swept[0] is not threading.main_thread()
