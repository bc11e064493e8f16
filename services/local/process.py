"""One part of the stack: how it is started, when it is ready, and how it ends.

Parts are plain `Popen` objects looked at a few times a second: the stack stays a single thread, so forking is safe.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.local.errors import PartFailed
from services.local.guard import Guard, kill_group

LOG_LIMIT: Final = 32 * 1024 * 1024  # bytes of a log file before it becomes `.1`
TAIL_LINES: Final = 20
PROBE_EVERY: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Part:
    """What a part is.

    Attributes:
        name: names the log file and the part in messages.
        command: program and arguments.
        environment: the whole environment of the process.
        ready: whether it does its work; asked repeatedly, must answer within seconds.
        stop_timeout: seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    stop_timeout: float


class PartProcess:
    """A part that runs, or has run; `start` may be called again after it has ended.

    Args:
        part: what to run.
        log: file that takes its output, appended to; what was there from an earlier run becomes `.1`.
        guard: ends it when this process is killed.
    """

    def __init__(self, part: Part, log: Path, guard: Guard) -> None:
        self.part = part
        self.log = log
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None
        if log.exists():
            log.replace(self._older_log)

    @property
    def _older_log(self) -> Path:
        return self.log.with_name(f"{self.log.name}.1")

    @property
    def running(self) -> bool:
        """Whether there is a process that has not been seen to end."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, in a group of its own so that the terminal's Ctrl-C is the stack's alone.

        Raises:
            PartFailed: the program cannot be started.
        """
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603  (commands are ours)
                    self.part.command,
                    env=dict(self.part.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                    preexec_fn=self._guard.enrol_self,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise PartFailed(f"{self.part.name} cannot be started: {error}") from error

    def poll(self) -> int | None:
        """The exit status once it has ended (told once), else None. Whatever it leaves running is killed."""
        if self._process is None:
            return None
        status = self._process.poll()
        if status is not None:
            self._forget(self._process.pid)
        return status

    async def wait_ready(self, limit: float) -> None:
        """Return when the part is ready.

        Raises:
            PartFailed: it has ended, or `limit` seconds have passed.
        """
        until = time.monotonic() + limit
        while True:
            status = self.poll()
            if status is not None:
                raise PartFailed(f"{self.part.name} ended while starting ({describe_exit(status)})\n{self.tail()}")
            if await self.part.ready():
                return
            if time.monotonic() > until:
                raise PartFailed(
                    f"{self.part.name} was not ready within {limit:g} s "
                    f"(LOCAL_START_TIMEOUT allows more)\n{self.tail()}"
                )
            await asyncio.sleep(PROBE_EVERY)

    async def stop(self, hurry: Callable[[], bool]) -> bool:
        """End it: SIGTERM, then SIGKILL after its limit or once `hurry` says so. Returns whether it ended by itself."""
        process = self._process
        if process is None:
            return True
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self.part.stop_timeout
        while time.monotonic() < until and not hurry():
            if self.poll() is not None:
                return True
            await asyncio.sleep(PROBE_EVERY / 2)
        kill_group(process.pid)
        process.wait()
        self._forget(process.pid)
        return False

    def tail(self) -> str:
        """The end of its log, indented, with the log's name; for an error message."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
                lines = log.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        except OSError:
            lines = []
        return "\n".join([f"  the end of {self.log}:", *(f"  | {line}" for line in lines or ["(empty)"])])

    def trim_log(self) -> None:
        """Keep the log's size bounded: the part goes on writing to the same file, emptied."""
        if self.log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(self.log, self._older_log)
            os.truncate(self.log, 0)

    def _forget(self, group: int) -> None:
        kill_group(group)
        self._guard.strike(group)
        self._process = None


def describe_exit(status: int) -> str:
    """An exit status as people say it."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
