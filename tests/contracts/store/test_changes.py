"""What is published, and what a subscriber hears; and calls of one tick that become one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from services.compute.errors import StoreUnavailable
from services.compute.models import Outcome, Priority, Progress, State
from services.compute.settings import RedisSettings
from services.compute.store import AsyncStore, Change, Charge, Finished, Handback, Started
from tests.contracts.store.steps import REASON, TTL, VERSION, ident, submission
from tests.servers import Server


@pytest.fixture
async def store(raw: redis.Redis, settings: RedisSettings) -> AsyncIterator[AsyncStore]:
    made = AsyncStore.from_settings(settings)
    yield made
    await made.aclose()


async def _take(store: AsyncStore) -> tuple[str, ...]:
    await store.finish([], {"fib": (1, 0.01)})
    taken = await store.take(limit=10, bound=100, threads=1, versions={"fib": [VERSION]}, scheduler="s")
    return taken.bundles[0].dispatch, *taken.bundles[0].task_ids


async def _start(store: AsyncStore, dispatch: str, *task_ids: str) -> list[Started]:
    answers = await store.start(
        dispatch,
        task_ids,
        worker="w",
        run="r",
        timeout_ms=60_000,
        max_attempts=4,
        result_ttl_ms=TTL,
        check_after_ms=60_000,
    )
    return [answer for answer in answers if isinstance(answer, Started)]


async def test_each_change_is_heard_once_and_a_call_s_together(store: AsyncStore) -> None:
    async with store.changes() as changes:

        async def heard() -> list[Change]:
            async with asyncio.timeout(5):
                return await anext(changes)

        await store.submit([submission(1), submission(2)], priority=Priority.BATCH)
        dispatch, *ids = await _take(store)
        first, second = await _start(store, dispatch, *ids)
        running = State.RUNNING
        assert await heard() == [Change(ident(1), 2, running), Change(ident(2), 2, running)]
        await store.progress(first.task_id, first.fence, Progress(done=1))
        assert await heard() == [Change(ident(1), 3, running)]
        await store.finish(
            [
                Finished(first.task_id, first.fence, State.DONE, TTL, b"1"),
                Finished(second.task_id, second.fence + 1, State.DONE, TTL, b"1"),
            ]
        )
        assert await heard() == [Change(ident(1), 4, State.DONE)]
        await store.requeue(
            [Handback(ident(2), dispatch)],
            Charge.FREE,
            delay_ms=0,
            max_attempts=4,
            reason=REASON,
            result_ttl_ms=TTL,
        )
        assert await heard() == [Change(ident(2), 3, State.PENDING)]
        await store.cancel([ident(2), ident(1)], ttl_ms=TTL)
        assert await heard() == [Change(ident(2), 4, State.CANCELLED)]
        await store.submit([submission(2)], priority=Priority.BATCH)
        assert await heard() == [Change(ident(2), 5, State.PENDING)]


async def test_stacks_do_not_hear_each_other(store: AsyncStore, server: Server) -> None:
    other = AsyncStore.from_settings(server.settings("other"))
    async with store.changes() as changes:
        await other.submit([submission(1)], priority=Priority.BATCH)
        await other.cancel([ident(1)], ttl_ms=TTL)
        await store.submit([submission(2)], priority=Priority.BATCH)
        await store.cancel([ident(2)], ttl_ms=TTL)
        async with asyncio.timeout(5):
            assert [change.task_id for change in await anext(changes)] == [ident(2)]
    with server.client() as client:
        client.delete(*client.keys("{other}:*"))
    await other.aclose()


async def test_a_broken_subscription_says_so(store: AsyncStore, raw: redis.Redis) -> None:
    async with store.changes() as changes:
        raw.client_kill_filter(_type="pubsub")
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(5):
                await anext(changes)
    async with store.changes() as changes:
        await store.submit([submission(1)], priority=Priority.BATCH)
        await store.cancel([ident(1)], ttl_ms=TTL)
        async with asyncio.timeout(5):
            assert await anext(changes) == [Change(ident(1), 2, State.CANCELLED)]


async def test_calls_of_one_tick_are_one_call(store: AsyncStore, raw: redis.Redis) -> None:
    await store.submit([submission(0)], priority=Priority.BATCH)
    before = _calls(raw)
    answers = await asyncio.gather(
        *(store.submit([submission(n % 50)], priority=Priority.INTERACTIVE, queue_max=1000) for n in range(300))
    )
    assert [answer[0].task_id for answer in answers] == [ident(n % 50) for n in range(300)]
    assert sum(answer[0].outcome is Outcome.CREATED for answer in answers) == 49
    records = await asyncio.gather(*(store.get([ident(n)]) for n in range(100)))
    assert [record is not None for (record,) in records] == [n < 50 for n in range(100)]
    assert _calls(raw) - before <= 6


async def test_callers_with_other_wishes_go_apart(store: AsyncStore) -> None:
    wishes = [
        store.submit([submission(1)], priority=Priority.BATCH),
        store.submit([submission(2)], priority=Priority.INTERACTIVE),
        store.submit([submission(3)], priority=Priority.BATCH, queue_max=0),
        store.submit([submission(4)], priority=Priority.BATCH, records=False),
    ]
    (first,), (second,), (third,), (fourth,) = await asyncio.gather(*wishes)
    assert (first.outcome, second.outcome, third.outcome) == (Outcome.CREATED, Outcome.CREATED, None)
    assert (fourth.outcome, fourth.record) == (Outcome.CREATED, None)
    depth = await store.depth()
    assert (depth.interactive, depth.batch) == (1, 2)


def _calls(raw: redis.Redis) -> int:
    stats = raw.info("commandstats")
    return sum(int(stats[f"cmdstat_{name}"]["calls"]) for name in ("eval", "evalsha") if f"cmdstat_{name}" in stats)
