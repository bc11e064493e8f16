"""What CloudWatch is told of the API: exactly the table's metrics, whole-stack ones by one process alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import cast

import pytest

from services.api import embedded as module
from services.api.embedded import Around, Embedded, Window
from services.api.emitted import EMITTED
from services.compute.emf import Emitter
from services.compute.errors import StoreUnavailable
from services.compute.settings import MetricsSettings
from services.compute.store import AsyncStore, Depth, Vitals
from tests.harness.emf import read_all
from tests.unit.api.api import ADD, Api, eventually, serve
from tests.unit.api.conftest import Settings

VITALS = Vitals(Depth(1, 20, 300, 7), 61_500, 250, 1000)
GLOBAL = {
    "QueueDepth",
    "QueueInteractive",
    "QueueBatch",
    "QueueDelayed",
    "QueueAge",
    "InFlight",
    "RedisMemoryShare",
}


class Store:
    def __init__(self, vitals: Vitals = VITALS) -> None:
        self.vitals_now = vitals
        self.error: Exception | None = None
        self.slow = 0.0

    async def vitals(self) -> Vitals:
        await asyncio.sleep(self.slow)
        if self.error is not None:
            raise self.error
        return self.vitals_now


class World:
    """A loop over a clock that the test moves, and what it has written."""

    def __init__(self, *, alone: bool = True, scheduler: bool = True) -> None:
        self.store, self.window, self.out = Store(), Window(), io.StringIO()
        self.alone = alone
        emitter = Emitter(MetricsSettings(metrics_interval=1), EMITTED, self.out)
        around = Around(lambda: scheduler, lambda: self.alone)
        self.embedded = Embedded(emitter, cast("AsyncStore", self.store), self.window, around)
        self.emitter = emitter

    async def told(self) -> dict[str, list[float]]:
        """What one line tells."""
        self.emitter.emit(await self.embedded.measure())
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return read_all(text.splitlines(), EMITTED)


async def test_a_line_has_all_that_the_table_states() -> None:
    world = World()
    for number in range(1, 251):
        world.window.request(503 if number % 50 == 0 else 200, number / 1000, held=number > 240)
    told = await world.told()
    assert set(told) == set(EMITTED)
    assert told["Requests"] == [250]
    assert told["Errors5xx"] == [5]
    assert told["RequestSeconds"] == [number / 1000 for number in range(1, 241)]
    assert (told["QueueInteractive"], told["QueueBatch"], told["QueueDelayed"]) == ([1], [20], [300])
    assert (told["QueueDepth"], told["InFlight"], told["QueueAge"]) == ([321], [7], [61.5])
    assert (told["RedisMemoryShare"], told["StoreUp"], told["SchedulerUp"]) == ([25], [1], [1])
    again = await world.told()
    assert (again["Requests"], again["Errors5xx"]) == ([0], [0])
    assert "RequestSeconds" not in again


async def test_one_process_speaks_for_the_stack() -> None:
    world = World(alone=False, scheduler=False)
    told = await world.told()
    assert set(told) == set(EMITTED) - GLOBAL - {"RequestSeconds"}
    assert told["SchedulerUp"] == [0]
    world.alone = True
    assert set(await world.told()) >= GLOBAL


async def test_a_server_without_a_limit_has_no_share() -> None:
    world = World()
    world.store.vitals_now = Vitals(VITALS.depth, 0, 250, 0)
    assert set(await world.told()) & GLOBAL == GLOBAL - {"RedisMemoryShare"}


async def test_without_redis_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    world = World()
    for error, slow in ((StoreUnavailable("away"), 0.0), (None, 1.0)):
        world.store.error, world.store.slow = error, slow
        world.window.request(503, 0.1, held=False)
        told = await world.told()
        assert told["StoreUp"] == [0]
        assert (told["Requests"], told["Errors5xx"]) == ([1], [1])
        assert not set(told) & GLOBAL


async def test_the_loop_survives_what_goes_wrong_and_tells_the_rest_when_it_ends() -> None:
    world = World()
    world.store.error = ValueError("a fault")
    task = asyncio.create_task(world.embedded.run())
    await asyncio.sleep(1.5)
    world.store.error = None
    world.window.request(200, 0.1, held=False)
    await eventually(lambda: '"Requests":1' in world.out.getvalue())
    world.window.request(200, 0.1, held=False)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sum(read_all(world.out.getvalue().splitlines(), EMITTED)["Requests"]) == 2


async def test_what_requests_count(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[Window] = []

    def watched(*_: object, **__: object) -> Window:
        windows.append(Window())
        return windows[-1]

    monkeypatch.setattr("services.api.app.Window", cast("Callable[[], Window]", watched))
    monkeypatch.setattr("sys.stdout", io.StringIO())
    async with serve(settings(metrics_emf=True, metrics_interval=3600)) as api:
        (window,) = windows
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await api.http.get(path)).status_code == 200
        assert window.requests == 0
        task_id = await api.submit()
        assert (await api.get(task_id)).status_code == 200
        assert len(window.seconds._kept) == 2
        assert (await api.get(task_id, Prefer="wait=1")).status_code == 200
        await api.workers.finish(task_id, 1)
        async with api.http.stream("GET", f"/api/v1/tasks/{task_id}/events") as stream:
            await stream.aread()
        assert (window.requests, window.errors, len(window.seconds._kept)) == (4, 0, 2)
        assert (await api.http.get(f"{ADD}/nothing")).status_code == 404
        assert (window.requests, window.errors) == (5, 0)


async def test_off_unless_set(api: Api) -> None:
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "changes" in names
    assert "metrics" not in names
