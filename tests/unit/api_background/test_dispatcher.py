"""The dispatcher's loop against a store and a cluster that do as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.api.dispatch import Dispatcher
from services.api.metrics import Metrics
from services.compute.store.types import Charge, Depth, Handback, Taken
from tests.unit.api_background.doubles import EMPTY, FakeDask, FakeStore, bundle, settings, until


class Bench:
    def __init__(self) -> None:
        self.store, self.dask, self.metrics = FakeStore(), FakeDask(), Metrics()
        self.dispatcher = Dispatcher(self.store.as_store(), self.dask, settings(in_flight_max=7), self.metrics)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.dispatcher.run())


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.dispatcher.stop()
    if made.task is not None:
        async with asyncio.timeout(5):
            await made.task


async def test_takes_with_what_it_sees_and_sends(bench: Bench) -> None:
    bench.store.takes = [Taken((bundle(0, 3), bundle(1, 2)), EMPTY)]
    bench.start()
    await until(lambda: len(bench.dask.sent) == 2)
    asked = bench.store.taken[0]
    assert (asked["threads"], asked["scheduler"], asked["bound"]) == (2, "S1", 7)
    assert asked["versions"] == {"f": frozenset({"v1"})}
    text = bench.metrics.render().decode()
    assert 'tidegate_dispatched_total{computation="f"} 5.0' in text
    assert "tidegate_bundle_size_sum 5.0" in text


async def test_takes_again_at_once_while_there_is_more(bench: Bench) -> None:
    bench.store.takes = [Taken((bundle(n),), Depth(0, 9 - n, 0, n % 7)) for n in range(10)]
    began = time.monotonic()
    bench.start()
    await until(lambda: len(bench.dask.sent) == 10)
    assert time.monotonic() - began < 0.2


async def test_a_wake_ends_the_pause(bench: Bench) -> None:
    bench.start()
    await until(lambda: len(bench.store.taken) == 1)
    await asyncio.sleep(0.1)
    assert len(bench.store.taken) == 1, "an idle dispatcher pauses"
    bench.store.takes = [Taken((bundle(0),), EMPTY)]
    began = time.monotonic()
    bench.dispatcher.wake()
    await until(lambda: bench.dask.sent)
    assert time.monotonic() - began < 0.1


async def test_nothing_is_taken_without_scheduler_or_workers(bench: Bench) -> None:
    bench.dask.snapshot = None
    bench.start()
    for _ in range(5):
        bench.dispatcher.wake()
        await asyncio.sleep(0.01)
    assert not bench.store.taken


async def test_what_was_not_sent_goes_back_in_order(bench: Bench) -> None:
    bench.dask.refuses = True
    bench.store.takes = [Taken((bundle(0, 2), bundle(1, 1)), EMPTY)]
    bench.start()
    await until(lambda: bench.store.requeued)
    ((items, charge, arguments),) = bench.store.requeued
    first, second = bundle(0, 2), bundle(1, 1)
    assert items == [
        Handback(second.task_ids[0], second.dispatch),
        Handback(first.task_ids[1], first.dispatch),
        Handback(first.task_ids[0], first.dispatch),
    ], "each is put at the head, so the last one goes first"
    assert charge is Charge.FREE
    assert arguments["delay_ms"] == 0


async def test_outages_and_errors_are_survived(bench: Bench) -> None:
    bench.store.away = True
    bench.start()
    await until(lambda: len(bench.store.taken) >= 2)
    assert len(bench.store.taken) < 5, "it backs off"
    bench.store.away = False
    bench.store.takes = [RuntimeError("a bug"), Taken((bundle(0),), EMPTY)]
    await until(lambda: bench.dask.sent)
    assert 'tidegate_loop_errors_total{loop="dispatch"}' in bench.metrics.render().decode()


async def test_a_stop_ends_even_a_long_pause(bench: Bench) -> None:
    bench.store.away = True
    bench.start()
    await until(lambda: len(bench.store.taken) >= 3, seconds=10)
    began = time.monotonic()
    bench.dispatcher.stop()
    assert bench.task is not None
    await bench.task
    assert time.monotonic() - began < 0.2
