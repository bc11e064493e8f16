"""`python -m services.local` as a newcomer runs it: in a folder of its own, looked at from outside."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from tests.harness.client import Client
from tests.harness.process import MARK, Managed, alive, kill, marked
from tests.harness.waiting import eventually

UP = re.compile(r"Tidegate is up after [\d.]+ s.*?API +(http://\S+)/api/v1/docs", re.DOTALL)


class LocalStack(Managed):
    """One local stack; started again it works on the same data, and its port is a free one each time.

    Args:
        directory: working directory, home and temporary directory of the stack; its data is in `.tidegate` there.
    """

    def __init__(self, directory: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.mark = uuid.uuid4().hex
        self.data = directory / ".tidegate"
        self._family: list[psutil.Process] = []
        self._clients: list[Client] = []
        super().__init__(
            "local",
            [sys.executable, "-m", "services.local", *options],
            {
                "PATH": os.environ["PATH"],
                "HOME": str(directory),
                "TMPDIR": str(directory),
                MARK: self.mark,
                "API_PORT": "0",
                "LOCAL_START_TIMEOUT": "200",
                "PYTHONDONTWRITEBYTECODE": "1",
                **(environment or {}),
            },
            directory,
        )

    def up(self, *options: str) -> Client:
        """Start and wait until the stack says that it is up; returns a client of its API."""
        self.log.unlink(missing_ok=True)
        self.command = [*self.command[:3], *options]
        self.start()
        eventually(lambda: UP.search(self.output()) or not self.running, "the stack is up", seconds=220)
        found = UP.search(self.output())
        assert found, f"it ended instead:\n{self.tail()}"
        self._family += psutil.Process(self.pid).children(recursive=True)
        client = Client(found[1])
        self._clients.append(client)
        return client

    def output(self) -> str:
        """What the person at the terminal sees."""
        return self.log.read_text(encoding="utf-8")

    def ready(self, client: Client) -> bool:
        """Whether the API says that it is ready."""
        try:
            return client.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: int = signal.SIGINT) -> int:
        """Ask it to end, wait, and return its exit status."""
        self.signal(number)
        return self.wait(60)

    def processes(self) -> list[str]:
        """Every living process of the stack but itself, by command line.

        Known by their descent, and by a mark in their environment, which Valkey overwrites with its title.
        """
        living = {process.pid: process for process in self._family if process.is_running() and alive(process.pid)}
        living |= {process.pid: process for process in marked(self.mark)}
        found = []
        for pid, process in living.items():
            with contextlib.suppress(psutil.Error):  # it has just ended
                found.append(f"{pid}: {' '.join(process.cmdline())[:120]}")
        return found

    def part(self, command: str) -> int:
        """The process id of the part with this in its command line."""
        parts = psutil.Process(self.pid).children()
        return next(int(part.pid) for part in parts if command in " ".join(part.cmdline()))

    def files_outside(self) -> set[str]:
        """Names in the working, home and temporary directory that are not the data directory or this test's log."""
        return {path.name for path in self.directory.iterdir()} - {self.data.name, self.log.name}

    def clean(self) -> None:
        """Kill whatever a failed test has left."""
        for client in self._clients:
            client.close()
        for process in self._family:
            if process.is_running():
                kill(process.pid)
        for process in marked(self.mark):
            kill(process.pid)
        if self.running:
            self.kill()
