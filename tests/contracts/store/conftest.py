"""Every contract test runs against either server, and most of them through either executor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from services.compute.settings import RedisSettings
from services.compute.store import Store
from tests.contracts.store import keycheck
from tests.contracts.store.steps import Blocking, Steps
from tests.servers import Server, redis62_server, valkey_server

__all__ = ["redis62_server", "valkey_server"]

PREFIX = "contract"


@pytest.fixture(params=["valkey", "redis62"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def settings(server: Server) -> RedisSettings:
    return server.settings(PREFIX)


@pytest.fixture
def raw(server: Server) -> Iterator[redis.Redis]:
    """A plain client of an empty server, to look behind the store; nothing may have leaked when the test ends."""
    with server.client() as client:
        client.flushall()
        yield client
        keycheck.check(client, PREFIX)
        client.flushall()


@pytest.fixture(params=["blocking", "asyncio"])
def steps(request: pytest.FixtureRequest, raw: redis.Redis, settings: RedisSettings) -> Iterator[Steps]:
    store = Store.from_settings(settings) if request.param == "blocking" else Blocking(settings)
    yield Steps(store)
    store.close()
