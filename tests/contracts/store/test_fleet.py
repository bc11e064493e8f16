"""What the autoscaler keeps in Redis: its view of the backlog, its document and its notes, under its lease."""

from __future__ import annotations

import pytest
import redis

from services.compute.models import Priority
from services.compute.settings import RedisSettings
from services.compute.store import Store
from services.compute.store.types import Depth
from tests.contracts.store.conftest import PREFIX
from tests.contracts.store.steps import Steps
from tests.servers import running

OWNER, OTHER = "one", "another"


def test_an_empty_backlog(steps: Steps) -> None:
    backlog = steps.store.backlog()
    assert (backlog.waiting, backlog.durations) == ({}, {})
    assert backlog.depth == Depth(0, 0, 0, 0)


def test_what_waits_is_counted_by_computation_with_what_it_takes(steps: Steps) -> None:
    steps.learn("slow", ms=20_000.0)
    steps.submit(*range(7), name="slow")
    steps.submit(*range(3), name="slow", priority=Priority.INTERACTIVE)
    steps.submit(*range(5), name="unheard_of")
    backlog = steps.store.backlog()
    assert backlog.waiting == {"slow": 10.0, "unheard_of": 5.0}
    assert backlog.durations == {"slow": 20_000.0}
    assert (backlog.depth.interactive, backlog.depth.batch) == (3, 12)


def test_a_long_queue_is_estimated_from_its_ends(steps: Steps) -> None:
    steps.submit(*range(1000), name="first")
    steps.submit(*range(1000), name="second")
    backlog = steps.store.backlog()
    assert backlog.waiting == {"first": 1000.0, "second": 1000.0}


def test_a_computation_that_is_being_measured_says_for_how_long(steps: Steps, raw: redis.Redis) -> None:
    steps.submit(*range(9))
    steps.take(limit=1)
    raw.hset(f"{{{PREFIX}}}:durations", "fib", "?1000:1")  # sent long ago, and nothing has come back
    backlog = steps.store.backlog()
    assert backlog.measuring["fib"] > 60_000
    assert backlog.durations == {}


def test_document_and_notes_are_written_at_once(steps: Steps) -> None:
    assert steps.store.lease("autoscaler", OWNER, 60_000)
    assert steps.store.fleet() is None
    assert steps.store.put_fleet(OWNER, b"{}", notes={"launch:1": b"a", "retire:m": b"b"})
    assert steps.store.fleet() == b"{}"
    assert steps.store.fleet_notes() == {"launch:1": b"a", "retire:m": b"b"}
    assert steps.store.put_fleet(OWNER, notes={"launch:1": b"c"}, drop=["retire:m", "unknown"])
    assert steps.store.fleet_notes() == {"launch:1": b"c"}
    assert steps.store.fleet() == b"{}", "no document leaves the one that is there"
    assert steps.store.put_fleet(OWNER, drop=["launch:1"])
    assert steps.store.fleet_notes() == {}


def test_nothing_is_written_without_the_lease(steps: Steps) -> None:
    assert not steps.store.put_fleet(OWNER, b"{}", notes={"launch:1": b"a"})
    assert steps.store.lease("autoscaler", OTHER, 60_000)
    assert not steps.store.put_fleet(OWNER, b"{}", notes={"launch:1": b"a"})
    assert steps.store.fleet() is None
    assert steps.store.fleet_notes() == {}
    assert steps.store.release("autoscaler", OTHER)
    assert not steps.store.put_fleet(OTHER, b"{}")


@pytest.mark.parametrize("kind", ["valkey", "redis62"])
def test_a_full_server_takes_notes_all_the_same(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("full")
    with running(kind, directory, "--maxmemory", "8mb", "--maxmemory-policy", "volatile-lru") as server:
        store = Store.from_settings(RedisSettings(redis_url=server.url))
        try:
            with server.client() as raw:
                fill(raw)
            assert store.lease("autoscaler", OWNER, 60_000)
            assert store.put_fleet(OWNER, b"{}", notes={"launch:1": b"a"})
            assert store.fleet_notes() == {"launch:1": b"a"}
        finally:
            store.close()


def fill(raw: redis.Redis) -> None:
    """Write keys that may not be evicted until the server refuses more."""
    for n in range(100_000):
        try:
            raw.set(f"filler:{n}", "x" * 1000)
        except redis.exceptions.OutOfMemoryError:
            return
    raise AssertionError("the server took all")
