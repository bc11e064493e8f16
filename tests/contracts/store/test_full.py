"""A server at its maxmemory: old results go, work goes on, and only new tasks are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.compute.models import Outcome, Priority, Progress, State
from services.compute.store import AsyncStore, Charge, Store, Submission
from tests.contracts.store import keycheck
from tests.contracts.store.steps import REASON, VERSION, Steps, begun, ident, taken_numbers
from tests.servers import Server, running

PREFIX = "full"
RESULT = b'"' + b"x" * 20_000 + b'"'


@pytest.fixture(params=["valkey", "redis62"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    memory = ("--maxmemory", "12mb", "--maxmemory-policy", "volatile-lru")
    with running(request.param, tmp_path, *memory) as found:
        yield found


@pytest.fixture
def steps(server: Server) -> Iterator[Steps]:
    store = Store.from_settings(server.settings(PREFIX))
    yield Steps(store)
    store.close()
    with server.client() as client:
        keycheck.check(client, PREFIX)


def test_old_results_go_and_work_goes_on(steps: Steps, server: Server) -> None:
    for number in range(1000):
        steps.done(number, RESULT)
        assert steps.store.lease("reconcile", "me", 60_000)
    left = steps.store.get([ident(number) for number in range(1000)])
    kept = [record for record in left if record is not None]
    assert 0 < len(kept) < 1000
    assert left[-1] is not None
    assert steps.store.depth().flight == 0
    assert steps.one(5000).outcome is Outcome.CREATED


def _fill(steps: Steps, server: Server) -> list[int]:
    """Tasks that wait, none of which may be evicted; then less memory than they take."""
    numbers = list(range(10_000, 10_500))
    steps.submit(*numbers, records=False)
    with server.client() as client:
        client.config_set("maxmemory", "500kb")
    return numbers


def test_full_of_tasks_it_refuses_new_ones_and_nothing_else(steps: Steps, server: Server) -> None:
    first, second, third = (steps.running(number) for number in range(3))
    waiting = _fill(steps, server)
    store = steps.store
    single = steps.one(5, priority=Priority.INTERACTIVE)
    assert (single.outcome, single.record) == (None, None)
    assert store.get([ident(5)]) == [None]
    met = steps.submit(0, 6, priority=Priority.INTERACTIVE, records=False)
    assert [a.outcome for a in met] == [Outcome.JOINED, None]
    # Lifting a task out of its batch takes memory: it is joined where it is.
    assert steps.one(waiting[0], priority=Priority.INTERACTIVE).outcome is Outcome.JOINED
    assert store.lease("reconcile", "me", 60_000)
    assert store.progress(ident(0), first[1].fence, Progress(done=1, message="m" * 1000))
    assert steps.finish(first[1], result=b'"' + b"r" * 5000 + b'"', durations={"other": (1, 1.0)})
    assert steps.requeue(Charge.ATTEMPT, (1, second[0]), delay_ms=60_000) == [State.PENDING]
    cancelled = steps.cancel(2)
    assert cancelled is not None
    assert cancelled.state is State.CANCELLED
    assert not steps.finish(third[1])
    taken = steps.take(limit=10, check_after_ms=0)
    assert len(taken_numbers(taken)) == 10
    bundle = taken.bundles[0]
    attempt = begun(steps.start(bundle.dispatch, bundle.task_ids[0], check_after_ms=0))
    assert len(store.due(100)) == 10
    store.postpone([bundle.task_ids[0]], 60_000)
    assert steps.finish(attempt, State.FAILED, result=None, error=REASON)
    assert store.depth().waiting > 0
    store.ping()


async def test_gathered_callers_of_a_full_server_each_hear_of_their_own(steps: Steps, server: Server) -> None:
    steps.done(1)
    _fill(steps, server)
    store = AsyncStore.from_settings(server.settings(PREFIX))
    items = [Submission(ident(n), VERSION, b"{}") for n in (10_000, 7, 10_001)]
    answers = await asyncio.gather(*(store.submit([item], priority=Priority.BATCH) for item in items))
    assert [answer.outcome for (answer,) in answers] == [Outcome.JOINED, None, Outcome.JOINED]
    assert not await store.put_fleet("nobody", b"{}"), "not refused for want of memory"
    await store.aclose()
