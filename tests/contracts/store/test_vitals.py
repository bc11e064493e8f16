"""How server and queues are, for whoever watches them."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from services.compute.models import Priority
from services.compute.store import Charge, Store
from services.compute.store.types import Depth
from tests.contracts.store.conftest import PREFIX
from tests.contracts.store.steps import Steps, ident
from tests.servers import running


def age(raw: redis.Redis, number: int, seconds: int) -> None:
    """Make a task older than it is."""
    raw.hincrby(f"{{{PREFIX}}}:t:{ident(number)}", "created", -1000 * seconds)


def test_nothing_waits(steps: Steps) -> None:
    vitals = steps.store.vitals()
    assert vitals.depth == Depth(0, 0, 0, 0)
    assert vitals.oldest_ms == 0
    assert vitals.memory > 100_000
    assert vitals.memory_max == 0, "these servers have no limit"


def test_the_oldest_of_both_queues_counts(steps: Steps, raw: redis.Redis) -> None:
    steps.submit(1, 2)
    steps.submit(3, priority=Priority.INTERACTIVE)
    age(raw, 1, 100)
    age(raw, 3, 10)
    assert 100_000 <= steps.store.vitals().oldest_ms < 110_000
    age(raw, 3, 1000)
    vitals = steps.store.vitals()
    assert 1_010_000 <= vitals.oldest_ms < 1_020_000
    assert (vitals.depth.interactive, vitals.depth.batch) == (1, 2)


def test_stale_entries_do_not_count(steps: Steps, raw: redis.Redis) -> None:
    steps.submit(1, 2)
    age(raw, 1, 5000)
    age(raw, 2, 50)
    steps.cancel(1)
    assert 50_000 <= steps.store.vitals().oldest_ms < 60_000
    steps.submit(2, priority=Priority.INTERACTIVE)  # its entry in the batch queue is nobody's from now on
    assert 50_000 <= steps.store.vitals().oldest_ms < 60_000


def test_what_was_sent_does_not_wait_and_what_comes_back_does(steps: Steps, raw: redis.Redis) -> None:
    dispatch = steps.dispatched(1)
    age(raw, 1, 20)
    assert steps.store.vitals().oldest_ms == 0
    assert steps.store.vitals().depth.flight == 1
    steps.requeue(Charge.FREE, (1, dispatch))
    assert steps.store.vitals().oldest_ms >= 20_000


@pytest.mark.parametrize("kind", ["valkey", "redis62"])
def test_the_limit_of_memory(kind: str, tmp_path: Path) -> None:
    with running(kind, tmp_path / kind, "--maxmemory", "64mb") as server:
        store = Store.from_settings(server.settings())
        vitals = store.vitals()
        store.close()
        assert vitals.memory_max == 64 * 1024 * 1024
        assert 0 < vitals.memory < vitals.memory_max
