"""One operating-system process under test: started with a known environment, logged to a file, ended by its id."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "TIDEGATE_TEST_STACK"  # in the environment of all that a stack starts, and of what those start in turn


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, below the range that outgoing connections use.

    A server that is killed and started again finds its port free, since no connection can have taken it.
    """
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000 on 127.0.0.1")


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; a process that is gone already is as good."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield each living process that a stack with this mark started, directly or not."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process


class Managed:
    """A process that a test starts, kills and starts again.

    Args:
        name: what the logs call it; one log file for all its lives.
        command: argument vector.
        environment: its whole environment, nothing is inherited.
        directory: its working directory, and where its log goes.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Id of the process; raises AssertionError before the first start."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether the last life goes on."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start a new life; the old one must have ended."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        kill(self.pid, number)

    def wait(self, seconds: float = 30.0) -> int:
        """Return the exit status; raise AssertionError when it does not end in time."""
        assert self._popen is not None
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s\n{self.tail()}") from None

    def kill(self) -> None:
        """SIGKILL this process alone and wait until it is gone."""
        if self.running:
            self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait(10)

    def terminate(self, seconds: float = 30.0) -> int:
        """SIGTERM, then return the exit status; raise AssertionError when it does not end in time."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def children(self) -> set[int]:
        """Ids of all living descendants."""
        try:
            found = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return set()
        return {child.pid for child in found if alive(child.pid)}

    def kill_tree(self) -> None:
        """SIGKILL this process and its descendants at once, as when a machine goes away."""
        children = self.children()
        self.signal(signal.SIGKILL)
        for child in children:
            kill(child)
        self.kill()

    def tail(self, lines: int = 60) -> str:
        """Return the end of the log, under a heading."""
        if not self.log.exists():
            return f"== {self.name}: no log"
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"== {self.name} (last {lines} of {len(text)} lines)", *text[-lines:]])
