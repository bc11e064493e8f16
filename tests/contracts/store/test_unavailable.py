"""A server that is away, wrong, or not the primary any more: StoreUnavailable, soon, with a cure, and no password."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.compute.errors import StoreUnavailable
from services.compute.models import Outcome, Priority
from services.compute.settings import RedisSettings
from services.compute.store import AsyncStore, Store
from tests.contracts.store.steps import Blocking, Steps, ident, submission
from tests.servers import Server, free_port, running

KINDS = ["blocking", "asyncio"]


@pytest.fixture(params=["valkey", "redis62"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with running(request.param, tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def _store(kind: str, settings: RedisSettings) -> Any:
    return Store.from_settings(settings) if kind == "blocking" else Blocking(settings)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_there(kind: str) -> None:
    store = _store(kind, RedisSettings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="REDIS_URL"):
        store.ping()
    with pytest.raises(StoreUnavailable):
        store.submit([submission(1)], priority=Priority.BATCH)
    assert time.monotonic() - began < 5
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_never_answers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.compute.store.connection.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("services.compute.store.executors.ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        store = _store(kind, RedisSettings(redis_url=f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"))
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.depth()
        assert time.monotonic() - began < 3
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_restart_is_survived_and_loses_nothing(kind: str, own: Server) -> None:
    store = _store(kind, own.settings())
    steps = Steps(store)
    steps.submit(1, 2, 3)
    dispatch, attempt = steps.running(4)
    own.stop()
    with pytest.raises(StoreUnavailable):
        store.depth()
    own.start()
    assert steps.one(1).outcome is Outcome.JOINED  # scripts are loaded again by themselves
    assert steps.finish(attempt)
    assert steps.running(5)[1].fence > attempt.fence
    assert dispatch
    store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_is_no_place_to_write(kind: str, own: Server, tmp_path: Path) -> None:
    family = "valkey" if "valkey" in own.binary.name else "redis62"
    with running(family, tmp_path / "replica", "--replicaof", "127.0.0.1", str(own.port)) as replica:
        store = _store(kind, replica.settings())
        for call in (
            lambda: store.submit([submission(1)], priority=Priority.BATCH),
            lambda: store.lease("a", "b", 1000),
            lambda: Steps(store).learn(),
        ):
            with pytest.raises(StoreUnavailable, match="failover"):
                call()
        store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_named_not_shown(kind: str, tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server, server.client() as client:
        client.acl_setuser("default", enabled=True, reset_passwords=True, passwords=["+right-one"])
        settings = server.settings()
        for password in (None, SecretStr("wrong-one")):
            store = _store(kind, settings.model_copy(update={"redis_password": password}))
            with pytest.raises(StoreUnavailable, match="REDIS_PASSWORD") as caught:
                store.ping()
            assert "wrong-one" not in str(caught.value)
            store.close()
        store = _store(kind, settings.model_copy(update={"redis_password": SecretStr("right-one")}))
        store.ping()
        store.close()


async def test_a_pool_run_dry_queues(own: Server) -> None:
    store = AsyncStore.from_settings(own.settings(), connections=2)
    await asyncio.gather(*(store.depth() for _ in range(200)))
    await store.aclose()


async def test_a_caller_that_leaves_disturbs_nobody(own: Server) -> None:
    store = AsyncStore.from_settings(own.settings())
    await store.ping()
    for _ in range(20):
        calls = [asyncio.create_task(store.submit([submission(n)], priority=Priority.BATCH)) for n in range(50)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        kept = [answer for answer in answers[1::2] if not isinstance(answer, BaseException)]
        assert [answer[0].task_id for answer in kept] == [ident(n) for n in range(1, 50, 2)]
    takes = [asyncio.create_task(store.depth()) for _ in range(30)]
    await asyncio.sleep(0.001)
    for each in takes[::3]:
        each.cancel()
    await asyncio.gather(*takes, return_exceptions=True)
    assert (await store.depth()).batch >= 25  # no connection answers somebody else's question
    await store.aclose()
