"""What keeps the loops alive, and what stops them."""

from __future__ import annotations

import asyncio

import pytest

from services.api import background as module
from services.api.background import background
from services.api.metrics import Metrics
from tests.unit.api_background.doubles import FakeStore, settings, until


async def test_a_loop_that_crashes_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "backoff", lambda *_, **__: 0.0)
    metrics = Metrics()
    runs = 0

    async def crashes_twice() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("a bug")

    await module._supervise("cluster", crashes_twice, metrics)
    assert runs == 3
    assert 'tidegate_loop_errors_total{loop="cluster"} 2.0' in metrics.render().decode()


async def test_everything_runs_without_a_scheduler_and_ends_on_leaving() -> None:
    store, metrics = FakeStore(), Metrics()
    chosen = settings(scheduler_address="tcp://127.0.0.1:1", scheduler_fallback=None)
    before = asyncio.all_tasks()
    async with background(store.as_store(), {}, chosen, metrics) as running:
        await until(lambda: running.reconciler.holder)
        running.wake()
        assert running.cluster.snapshot is None
        assert "tidegate_scheduler_up 0.0" in metrics.render().decode()
        assert not store.taken
    assert store.leases == {}, "the lease is given back"
    assert asyncio.all_tasks() == before
