"""The connection to a real scheduler: found, lost, replaced; what is sent arrives and leaves nothing behind."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from distributed import Client

from services.api.cluster import WINDOW, Cluster
from services.api.plan import SchedulerUnavailable
from services.compute.models import Priority
from services.compute.security import security
from services.compute.store.types import Bundle
from tests.harness.fixtures import module_stack
from tests.harness.stack import Stack
from tests.integration.dispatch.replica import settings, until

stack = module_stack(apis=0, workers=1)


@asynccontextmanager
async def connected(stack: Stack, workers: int = 1) -> AsyncIterator[Cluster]:
    chosen = settings(stack)
    cluster = Cluster(chosen.scheduler_addresses, security(chosen))
    task = asyncio.create_task(cluster.run())
    try:
        await until(lambda: _has_workers(cluster, workers), "it is connected and sees the workers")
        yield cluster
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()


async def _has_workers(cluster: Cluster, count: int) -> bool:
    return cluster.snapshot is not None and len(cluster.snapshot.workers) == count


def bundles(count: int, computation: str = "nobodys") -> list[Bundle]:
    """Bundles of a computation that no worker knows: each is given back at once, and touches no record."""
    batch = secrets.token_hex(8)
    return [
        Bundle(f"{computation}-{batch}-{n}", computation, "v0", Priority.BATCH, (f"{computation}-{n:032x}",))
        for n in range(count)
    ]


async def test_it_sees_what_workers_announce(stack: Stack) -> None:
    async with connected(stack) as cluster:
        seen = cluster.snapshot
        assert seen is not None
        assert (seen.threads, seen.address) == (2, stack.environment["SCHEDULER_ADDRESS"])
        (worker,) = seen.workers
        assert worker.name.startswith("machine1")
        assert len(worker.run) == 16
        assert "counted" in seen.versions
        assert seen.holders("counted", worker.versions["counted"]) is None


async def test_more_than_a_window_arrives_and_nothing_is_left(stack: Stack) -> None:
    async with connected(stack) as cluster:
        sent = bundles(2 * WINDOW + 50)
        keys = [bundle.dispatch for bundle in sent]
        assert await cluster.send(sent) == []
        await until(lambda: _all_unknown(cluster, keys), "all have run and are forgotten", seconds=60)
        async with Client(stack.environment["SCHEDULER_ADDRESS"], asynchronous=True, set_as_default=False) as client:
            held = await client.scheduler.has_what()
        assert not any(held.values()), "data on a worker would keep it from being retired"


async def _all_unknown(cluster: Cluster, keys: list[str]) -> bool:
    answer = await cluster.statuses(keys)
    return not any(answer.states.values())


async def test_keys_wait_in_the_scheduler_when_their_sender_is_gone(stack: Stack) -> None:
    stack.workers[0].kill_tree()
    sent = bundles(5)
    keys = [bundle.dispatch for bundle in sent]
    async with connected(stack, workers=0) as cluster:
        assert await cluster.send(sent) == []
        await until(lambda: _all_known(cluster, keys), "they have arrived")
    async with connected(stack, workers=0) as cluster:
        assert await _all_known(cluster, keys), "they belong to no client"
        stack.workers[0].start()
        await until(lambda: _all_unknown(cluster, keys), "a worker came and took them", seconds=60)


async def _all_known(cluster: Cluster, keys: list[str]) -> bool:
    answer = await cluster.statuses(keys)
    return all(answer.states.values())


async def test_a_replaced_scheduler_is_noticed_at_either_address(stack: Stack) -> None:
    first, second = stack.scheduler_ports
    async with connected(stack) as cluster:
        for port in (first, second, first):
            assert cluster.snapshot is not None
            before = cluster.snapshot.scheduler
            stack.scheduler.kill()
            killed = time.monotonic()
            await until(lambda: _gone(cluster), "the loss is noticed", seconds=5, pause=0.01)
            assert time.monotonic() - killed < 1.5
            with pytest.raises(SchedulerUnavailable):
                await cluster.statuses(["some-key"])
            lost = bundles(3)
            assert await cluster.send(lost) == lost
            stack.restart_scheduler(port=port)
            await until(lambda: _has_workers(cluster, 1), "the new one is found, and the worker there", seconds=40)
            assert cluster.snapshot.scheduler != before
            assert cluster.snapshot.address.endswith(f":{port}")
            assert await cluster.send(bundles(3)) == []


async def _gone(cluster: Cluster) -> bool:
    return cluster.snapshot is None
