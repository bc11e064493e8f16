"""The bridge from the fake ECS to this machine: a task that starts is a process that runs its definition's command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.ecs import Definition, FakeEcs
from tests.fakes.ecs_life import Hooks
from tests.fakes.ecs_limits import Limits
from tests.fakes.ecs_server import EcsServer
from tests.fakes.ecs_task import FakeTask
from tests.fakes.quotas import FakeQuotas
from tests.harness.process import kill

TICK = 0.02
"""Seconds between two looks at the clock and at the processes."""


class ProcessFleet(Hooks):
    """A fake ECS on the real clock, served over HTTP, whose tasks are processes.

    The processes belong to this object: whoever asked for them may die, `close` ends them. SIGTERM goes to the process
    of the command itself, as to a container's first one; SIGKILL to its whole group.

    Args:
        directory: the processes run in it, and it takes a log for each task: `<task id>.log`.
        definitions: task definitions; `command` and `environment` are run as they are.
        image: variables that every process has, as those of an image; the definition's and the metadata endpoint's
            address come on top. Nothing is inherited.
        latency: seconds from RunTask to the start of the process.
        quotas: limits on calls.
        service_quotas: vCPU quotas.
        options: of `FakeEcs`.
    """

    def __init__(
        self,
        directory: Path,
        definitions: Iterable[Definition] = (),
        *,
        image: Mapping[str, str] | None = None,
        latency: float = 0.1,
        quotas: Limits | None = None,
        service_quotas: FakeQuotas | None = None,
        **options: Any,
    ) -> None:
        self.directory = directory
        self.image = dict(image or {})
        self.fake = FakeEcs(
            time.time, definitions=definitions, quotas=quotas, latency=lambda _: latency, hooks=self, **options
        )
        self.server = EcsServer(self.fake, service_quotas)
        self.pids: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fake-ecs-processes", daemon=True)
        self._thread.start()

    def on_start(self, task: FakeTask) -> None:
        """Run the task's command; one that cannot be run ends with status 127."""
        if self._closing.is_set():
            return
        environment = {
            **self.image,
            **task.definition.environment,
            "ECS_CONTAINER_METADATA_URI_V4": self.server.metadata_url(task.id),
        }
        with self.log(task.id).open("ab") as log:
            try:
                process = subprocess.Popen(
                    list(task.definition.command),
                    env=environment,
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                self.fake.exit(task.id, 127, f"CannotStartContainerError: {error}")
                return
        self.pids[task.id] = process.pid
        self._running[task.id] = process

    def on_sigterm(self, task: FakeTask) -> None:
        """Send SIGTERM."""
        self._signal(task.id, signal.SIGTERM)

    def on_kill(self, task: FakeTask) -> None:
        """Send SIGKILL."""
        self._kill(task.id)

    def log(self, task: str) -> Path:
        """Where a task's output goes."""
        return self.directory / f"{task}.log"

    def alive(self) -> dict[str, int]:
        """Process ids of the tasks whose process has not ended."""
        with self.fake.lock:
            return {task: process.pid for task, process in self._running.items() if process.poll() is None}

    def close(self) -> None:
        """Kill what runs, wait until it is gone, and stop serving."""
        self._closing.set()
        self._thread.join(10)
        with self.fake.lock:
            for task, process in self._running.items():
                self._kill(task)
                process.wait(10)
            self._running.clear()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._closing.wait(TICK):
            with self.fake.lock:
                self.fake.advance()
                for task, process in list(self._running.items()):
                    status = process.poll()
                    if status is not None:
                        _kill_group(process.pid)
                        del self._running[task]
                        self.fake.exit(task, 128 - status if status < 0 else status)

    def _signal(self, task: str, number: int) -> None:
        process = self._running.get(task)
        if process is not None and process.poll() is None:
            kill(process.pid, number)

    def _kill(self, task: str) -> None:
        process = self._running.get(task)
        if process is not None:
            _kill_group(process.pid)


def _kill_group(leader: int) -> None:
    """SIGKILL all processes of a group, as when a container ends with its first process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
