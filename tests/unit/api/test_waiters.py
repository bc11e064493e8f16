"""Waiting over a subscription that loses messages: later, never not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from services.api.metrics import Metrics, TaskLatencies
from services.api.waiters import ChangeHub
from services.compute.errors import StoreUnavailable
from services.compute.models import State
from services.compute.store import AsyncStore, Change, StoredRecord


class FakeStore:
    """States that change silently unless told; counts what is read."""

    def __init__(self) -> None:
        self.known: dict[str, State] = {}
        self.queue: asyncio.Queue[list[Change] | Exception] = asyncio.Queue()
        self.reads = 0
        self.subscriptions = 0

    async def get(self, ids: Sequence[str], *, with_results: bool = False) -> list[StoredRecord | None]:
        self.reads += len(ids)
        await asyncio.sleep(0)
        return [
            StoredRecord(each, [self.known[each].value.encode(), b"1", *[None] * 12]) if each in self.known else None
            for each in ids
        ]

    async def states(self, ids: Sequence[str]) -> list[State | None]:
        self.reads += len(ids)
        await asyncio.sleep(0)
        return [self.known.get(each) for each in ids]

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[list[Change]]]:
        self.subscriptions += 1

        async def listen() -> AsyncIterator[list[Change]]:
            while True:
                item = await self.queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item

        yield listen()

    def tell(self, *ids: str, state: State = State.DONE) -> None:
        self.queue.put_nowait([Change(each, 2, state) for each in ids])


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


def make(store: FakeStore, poll: float = 60.0) -> ChangeHub:
    return ChangeHub(cast(AsyncStore, store), TaskLatencies(Metrics()), poll_seconds=poll)


@asynccontextmanager
async def running(hub: ChangeHub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run())
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_one_subscription_wakes_many_and_costs_nothing_for_others(store: FakeStore) -> None:
    hub = make(store)
    store.known = {"a": State.PENDING}
    async with running(hub):
        waiting = [asyncio.create_task(hub.final_record("a", 20)) for _ in range(50)]
        await asyncio.sleep(0.05)
        reads = store.reads
        store.queue.put_nowait([Change(f"other{n}", 1, State.DONE) for n in range(10_000)])
        await asyncio.sleep(0.05)
        assert store.reads == reads
        store.known["a"] = State.DONE
        store.tell("a")
        for found in await asyncio.gather(*waiting):
            assert found is not None
    assert store.subscriptions == 1
    assert hub._watches == {}


async def test_many_ids_are_read_again_once_all_are_said_to_be_final(store: FakeStore) -> None:
    hub = make(store)
    ids = [f"t{n}" for n in range(1000)]
    store.known = dict.fromkeys(ids, State.PENDING)
    async with running(hub):
        waiting = asyncio.create_task(hub.wait_final(ids, 20))
        await asyncio.sleep(0.05)
        for each in ids:
            store.known[each] = State.DONE
            store.tell(each)
            await asyncio.sleep(0)
        await waiting
    assert store.reads <= 2000


async def test_one_of_many_that_was_started_anew_is_waited_for(store: FakeStore) -> None:
    hub = make(store)
    store.known = {"a": State.DONE, "b": State.PENDING}
    async with running(hub):
        waiting = asyncio.create_task(hub.wait_final(["a", "b"], 20))
        await asyncio.sleep(0.05)
        store.tell("b")  # and POSTed anew before anybody looked
        await asyncio.sleep(0.05)
        assert not waiting.done()
        store.known["b"] = State.FAILED
        store.tell("b", state=State.FAILED)
        await waiting


async def test_a_lost_message_only_delays(store: FakeStore) -> None:
    hub = make(store, poll=0.2)
    store.known = {"a": State.PENDING}
    async with running(hub):
        waiting = asyncio.create_task(hub.final_record("a", 20))
        await asyncio.sleep(0.05)
        store.known["a"] = State.DONE  # and nobody says so
        async with asyncio.timeout(3):
            await waiting


async def test_a_new_subscription_makes_everybody_look(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.waiters._RESUBSCRIBE_SECONDS", 0.05)
    hub = make(store)
    store.known = {"a": State.PENDING}
    async with running(hub):
        waiting = asyncio.create_task(hub.final_record("a", 20))
        await asyncio.sleep(0.05)
        store.known["a"] = State.DONE
        store.queue.put_nowait(StoreUnavailable("gone"))
        async with asyncio.timeout(3):
            await waiting
        store.queue.put_nowait(RuntimeError("a mistake"))
        await asyncio.sleep(0.3)
        assert store.subscriptions == 3, "the loop survives any error"


async def test_final_and_then_started_anew_is_not_final(store: FakeStore) -> None:
    hub = make(store)
    store.known = {"a": State.PENDING}
    async with running(hub):
        waiting = asyncio.create_task(hub.final_record("a", 0.5))
        await asyncio.sleep(0.05)
        store.tell("a")  # read again, it is PENDING: somebody has POSTed it anew
        await asyncio.sleep(0.1)
        assert not waiting.done()
        found = await waiting
    assert found is not None
    assert found.state is State.PENDING


async def test_the_end_of_the_process_answers_whoever_waits(store: FakeStore) -> None:
    hub = make(store)
    store.known = {"a": State.PENDING}
    waiting = asyncio.create_task(hub.final_record("a", 20))
    await asyncio.sleep(0.05)
    hub.close()
    async with asyncio.timeout(2):
        await waiting
        await hub.final_record("a", 20)


async def test_unknown_tasks_are_not_waited_for(store: FakeStore) -> None:
    async with asyncio.timeout(2):
        assert await make(store).final_record("a", 20) is None
        await make(store).wait_final(["a"], 20)
