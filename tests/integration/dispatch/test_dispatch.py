"""Dispatcher and reconciler over real servers: what is accepted gets done, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence

import pytest

from services.api.cluster import Cluster
from services.api.reconcile import LEASE_MS, Reconciler
from services.compute.models import Priority
from services.compute.store.types import Bundle
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import kill
from tests.harness.stack import Stack
from tests.integration.dispatch.replica import Replica, replica, settings, until

stack = module_stack(apis=0, workers=1)


async def test_two_replicas_do_everything_once_within_the_bound(stack: Stack, ledger: Ledger) -> None:
    async with replica(stack, in_flight_max=30) as one, replica(stack, in_flight_max=30) as two:
        sets = [{"ledger": str(ledger), "n": n, "seconds": 0.005} for n in range(200)]
        ids = await one.submit("counted", sets[:100]) + await two.submit("counted", sets[100:])
        most = 0

        async def all_done() -> bool:
            nonlocal most
            depth = await one.store.depth()
            most = max(most, depth.flight)
            return depth.flight + depth.waiting == 0

        await until(all_done, "the queue is empty", seconds=60, pause=0.01)
        records = await one.done(ids)
    assert 10 < most <= 30
    assert {record.attempts for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(200), 1)


async def test_a_single_task_overtakes_a_batch(stack: Stack) -> None:
    async with replica(stack) as one:
        await one.done(await one.submit("ten_ms", [{"n": n} for n in range(-20, 0)]))  # its duration is learned
        batch = await one.submit("ten_ms", [{"n": n} for n in range(1000)])
        await until(lambda: _in_flight(one, 100), "the batch is at work")
        began = time.monotonic()
        await one.done(await one.submit("ten_ms", [{"n": 5000}], Priority.INTERACTIVE))
        took = time.monotonic() - began
        assert (await one.states(batch))["DONE"] < 1000
        assert took < 2.0
        await one.done(batch)


async def _in_flight(one: Replica, least: int) -> bool:
    return (await one.store.depth()).flight >= least


async def test_what_is_lost_on_the_way_to_the_scheduler_is_sent_again(
    stack: Stack, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Bundle] = []
    send = Cluster.send

    async def lossy(self: Cluster, bundles: Sequence[Bundle]) -> list[Bundle]:
        if len(lost) < 3:
            lost.extend(bundles)
            return []
        return await send(self, bundles)

    monkeypatch.setattr(Cluster, "send", lossy)
    async with replica(stack) as one:
        sets = [{"ledger": str(ledger), "n": n} for n in range(20)]
        records = await one.done(await one.submit("counted", sets))
        assert lost
        assert 'tidegate_requeued_total{reason="unknown_to_dask"}' in one.metrics.render().decode()
    assert {record.attempts for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(20), 1)


async def test_a_task_that_nobody_announced_is_found_within_a_second_or_so(stack: Stack, ledger: Ledger) -> None:
    async with replica(stack) as one:
        await until(lambda: _ready(one), "it is connected")
        ids = await one.submit("counted", [{"ledger": str(ledger), "n": 1}], wake=False)
        await one.done(ids, seconds=5)


async def _ready(one: Replica) -> bool:
    return one.running.cluster.snapshot is not None and one.running.cluster.snapshot.threads > 0


async def test_a_scheduler_at_another_address_goes_on_with_running_and_waiting_tasks(
    stack: Stack, ledger: Ledger
) -> None:
    first, second = stack.scheduler_ports
    async with replica(stack) as one:
        for round_, port in enumerate((second, first)):
            numbers = range(100 * round_, 100 * round_ + 16)
            ids = await one.submit("counted", [{"ledger": str(ledger), "n": n, "seconds": 0.5} for n in numbers])
            await until(lambda: _runs(one, ids), "some run")  # noqa: B023
            await asyncio.to_thread(stack.restart_scheduler, port=port)
            records = await one.done(ids, seconds=90)
            assert {record.attempts for record in records} == {1}
    assert sum(ledger.counts().values()) <= 32 + 4, "at most what ran at each kill has run twice"


async def _runs(one: Replica, ids: Sequence[str], least: int = 2) -> bool:
    return (await one.states(ids))["RUNNING"] >= least


async def test_a_task_of_a_machine_that_vanished_is_charged_and_runs_elsewhere(stack: Stack, ledger: Ledger) -> None:
    async with replica(stack) as one:
        (task_id,) = await one.submit("counted", [{"ledger": str(ledger), "n": 7, "seconds": 4.0}])
        await until(lambda: _runs(one, [task_id], 1), "it runs")
        await asyncio.to_thread(stack.workers[0].kill_tree)

        async def waits_again() -> bool:
            (record,) = await one.records([task_id])
            return record.state.value == "PENDING"

        await until(waits_again, "the reconciler gives it back, with no worker that could", seconds=30)
        (record,) = await one.records([task_id])
        assert record.attempts == 1
        await asyncio.to_thread(stack.workers[0].start)
        (record,) = await one.done([task_id], seconds=60)
        assert record.attempts == 2


async def test_a_deadline_holds_while_neither_scheduler_nor_worker_is_there(stack: Stack, ledger: Ledger) -> None:
    async with replica(stack) as one:
        (task_id,) = await one.submit("frozen", [{"ledger": str(ledger), "n": 1, "first": 30.0, "later": 30.0}])
        await until(lambda: _runs(one, [task_id], 1), "it runs", pause=0.01)
        worker = stack.workers[0]
        for pid in worker.children():
            kill(pid, signal.SIGSTOP)
        stack.scheduler.kill()
        try:
            (record,) = await one.final([task_id], seconds=10)
        finally:
            worker.kill_tree()
            stack.scheduler.start()
            worker.start()
        deadline, finished = (record.started_ms or 0) + 2000, record.finished_ms or 0
        error = record.record().error
        assert error is not None
        assert error.type == "timeout"
        assert worker_name(stack) in error.message
        assert deadline <= finished <= deadline + 2000
        await asyncio.to_thread(stack.wait_workers, 1)


def worker_name(stack: Stack) -> str:
    return stack.workers[0].environment["WORKER_NAME"]


async def test_another_replica_takes_over_when_the_lease_holder_dies(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(stack) as one:
        await until(lambda: _holds(one.running.reconciler), "it holds the lease", seconds=LEASE_MS / 1000 + 5)
        async with replica(stack) as two:
            await asyncio.sleep(1.0)
            assert not two.running.reconciler.holder
            with monkeypatch.context() as dead:
                dead.setattr(one.running.reconciler, "round", lambda: asyncio.sleep(0))  # as if its process had died
                await until(lambda: _holds(two.running.reconciler), "the other takes over", seconds=LEASE_MS / 1000 + 5)
            await until(lambda: _stands_by(one.running.reconciler), "back from the dead it stands by")
        await until(lambda: _holds(one.running.reconciler), "a lease given back is free at once", seconds=3)


async def _stands_by(reconciler: Reconciler) -> bool:
    return not reconciler.holder


async def _holds(reconciler: Reconciler) -> bool:
    return reconciler.holder


async def test_everything_accepted_before_redis_scheduler_or_worker_were_there_is_done(
    stack: Stack, ledger: Ledger
) -> None:
    stack.scheduler.kill()
    async with replica(stack) as one:
        ids = await one.submit("counted", [{"ledger": str(ledger), "n": n} for n in range(5)])
        stack.valkey.terminate()
        await asyncio.sleep(1.0)
        stack.valkey.start()
        await asyncio.sleep(1.0)
        stack.scheduler.start()
        records = await one.done(ids, seconds=60)
    assert {record.attempts for record in records} == {1}
    assert settings(stack).scheduler_fallback


async def test_leaving_is_quick_and_silent_whatever_is_away(stack: Stack) -> None:
    async with replica(stack) as one:
        await until(lambda: _ready(one), "it is connected")
    stack.scheduler.kill()
    try:
        async with replica(stack):
            await asyncio.sleep(0.5)
            began = time.monotonic()
        assert time.monotonic() - began < 5
    finally:
        stack.scheduler.start()
        await asyncio.to_thread(stack.wait_workers, 1)
