"""`python -m services.worker.process`: one Dask worker process, started by the supervisor.

It joins a scheduler, and when that goes away the next one, while what it runs goes on. It ends by a drain: on SIGTERM,
or because code runs on past its timeout and only a new process gets rid of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from services.compute.errors import RegistrationError
from services.compute.registry import load_registry
from services.compute.runner import Deadlines, Limits, RunnerContext, install
from services.compute.security import security
from services.compute.settings import ComputeSettings, LogSettings, RedisSettings, SchedulerSettings, explain
from services.compute.store import Store
from services.objects import open_object_store
from services.worker import logs
from services.worker.board import Board
from services.worker.dask_config import WORKER
from services.worker.dask_worker import Strays, TidegateWorker, lost_scheduler, make_pool
from services.worker.drain import FLUSH_S, Drain
from services.worker.exits import DRAINED, MISCONFIGURED, NO_SCHEDULER, REPLACE
from services.worker.joined import Joined
from services.worker.membership import Identity, Membership
from services.worker.parent import die_with_parent
from services.worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

LOOK_S = 0.5
"""How often a worker is looked at for what only it can mend."""
LEAVE_S = FLUSH_S + 10.0
"""Beyond its grace a process may take this long to leave; then its supervisor kills it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a worker process reads from its environment."""

    redis: RedisSettings
    scheduler: SchedulerSettings
    compute: ComputeSettings
    logs: LogSettings
    worker: WorkerSettings

    @classmethod
    def read(cls) -> Settings:
        """Read the environment.

        Raises:
            ValueError: a setting has no valid value.
        """
        return cls(RedisSettings(), SchedulerSettings(), ComputeSettings(), LogSettings(), WorkerSettings())


class WorkerProcess:
    """The life of one worker process.

    Args:
        settings: from the environment.
        name: the Dask worker's name.
        board: memory shared with the supervisor.
        directory: where Dask may spill to.
    """

    def __init__(self, settings: Settings, name: str, board: Board, directory: Path) -> None:
        self._settings = settings
        self._board = board
        self._status = DRAINED
        self._drain: Drain | None = None
        registry = load_registry(settings.compute.compute_modules)
        own = settings.worker
        identity = Identity(name, secrets.token_hex(8), name.rpartition("-")[0], registry.versions)
        store = settings.compute.object_store
        self._context = RunnerContext(
            Store.from_settings(settings.redis),
            registry,
            None if store is None else open_object_store(store),
            worker=name,
            run=identity.run,
            limits=Limits(own.result_inline_max, own.result_max_bytes),
            deadlines=Deadlines(board.deadlines),
            on_overdue=self._overdue,
            scheduler_lost=lost_scheduler,
        )
        addresses = [settings.scheduler.scheduler_address, settings.scheduler.scheduler_fallback]
        self._joined = Joined(directory, name)
        self._membership = Membership(
            [address for address in addresses if address],
            identity,
            make_pool(own.threads, name),
            security(settings.scheduler),
            {**worker_options(own, directory), "metrics": {"tidegate_running": self._unknown_running}},
        )

    async def run(self) -> int:
        """Work until told to leave; the process's exit status."""
        self._loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        self._loop.add_signal_handler(signal.SIGTERM, self._terminate)
        install(self._context)
        self._context.start()
        gc.collect()
        gc.freeze()
        worker = await self._work()
        drain = self._drain or self._begin_drain(self._settings.worker.worker_grace)
        log.info("worker drains", status=self._status)
        await drain.run(worker)
        return self._status

    async def _work(self) -> TidegateWorker | None:
        """Be a worker of one scheduler after the other until it is time to leave."""
        leave = asyncio.ensure_future(self._leave.wait())
        while not self._leave.is_set():
            joining = asyncio.ensure_future(self._membership.join(self._settings.worker.scheduler_wait))
            await asyncio.wait({joining, leave}, return_when=asyncio.FIRST_COMPLETED)
            if not joining.done():
                joining.cancel()
                await asyncio.gather(joining, return_exceptions=True)
                return None
            worker = joining.result()
            if worker is None:
                log.error(
                    "no scheduler in time: check SCHEDULER_ADDRESS and SCHEDULER_FALLBACK",
                    waited=self._settings.worker.scheduler_wait,
                )
                self._status = NO_SCHEDULER
                return None
            self._joined.set()
            closed = asyncio.ensure_future(worker.finished())  # type: ignore[no-untyped-call]
            watch = asyncio.ensure_future(self._watch(worker))
            await asyncio.wait({closed, leave}, return_when=asyncio.FIRST_COMPLETED)
            watch.cancel()
            if self._leave.is_set():
                closed.cancel()
                return worker
            self._joined.clear()
            log.warning("scheduler lost; what runs goes on", running=len(self._context.running()))
        return None

    def _terminate(self) -> None:
        """SIGTERM: leave within the grace; another one shortens nothing (the supervisor kills)."""
        if self._status == REPLACE:
            self._status = DRAINED
        self._begin_drain(self._settings.worker.worker_grace)

    async def _watch(self, worker: TidegateWorker) -> None:
        """Give back what a retired worker does not begin any more, and replace a process with stray children."""
        strays = Strays()
        while True:
            await asyncio.sleep(LOOK_S)
            if worker.retired:
                worker.send_back_ready()
            late = strays.late(worker.released_keys() - self._context.bundles.keys())
            if late:
                log.warning("code runs on that nobody waits for", keys=sorted(late)[:10])
                self._replace()

    def _unknown_running(self, worker: TidegateWorker) -> int:
        """Bundles that run here since before this worker joined its scheduler, which knows nothing of them."""
        return sum(bundle.dispatch not in worker.state.tasks for bundle in self._context.running())

    def _overdue(self) -> None:
        """Code runs on past its timeout (called by the watch thread): leave when all else has ended."""
        self._loop.call_soon_threadsafe(self._replace)

    def _replace(self) -> None:
        if self._drain is None:
            self._status = REPLACE
            # Whatever else runs has a deadline of its own, which bounds the wait.
            last = max((bundle.latest_deadline() for bundle in self._context.running()), default=0.0)
            self._begin_drain(max(self._settings.worker.worker_grace, last - time.monotonic() + 2.0))

    def _begin_drain(self, grace: float) -> Drain:
        """Leave within `grace` seconds, or earlier if that was decided before."""
        until = time.monotonic() + grace
        if self._drain is None:
            self._drain = Drain(self._context, until)
        self._drain.hurry(until)
        self._board.gone_by = self._drain.until + LEAVE_S
        self._leave.set()
        return self._drain


def worker_options(settings: WorkerSettings, directory: Path) -> Mapping[str, Any]:
    """Arguments of Dask's `Worker` that the settings give."""
    from distributed.system import MEMORY_LIMIT

    memory: str | int = settings.worker_memory
    if memory == "auto":
        # Dask's own `auto` goes by threads and would give each of several processes the whole machine.
        memory = MEMORY_LIMIT // settings.worker_processes
    return {
        "nthreads": settings.threads,
        "host": settings.worker_host,
        "port": settings.ports,
        "memory_limit": memory,
        "local_directory": str(directory),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run one worker process; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.worker.process")
    parser.add_argument("--name", required=True, help="name of the Dask worker")
    parser.add_argument("--board", type=int, required=True, help="file descriptor of the shared deadlines")
    parser.add_argument("--life", type=int, required=True, help="read end of a pipe that ends with the supervisor")
    parser.add_argument("--parent", type=int, required=True, help="process id of the supervisor")
    parser.add_argument("--directory", type=Path, required=True, help="where Dask may spill to")
    options = parser.parse_args(arguments)
    die_with_parent(options.life, options.parent)
    # Ctrl-C reaches the whole terminal; what to do about it is the supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        settings = Settings.read()
        logs.configure(settings.logs)
        import dask

        dask.config.set(WORKER)
        return asyncio.run(_main(settings, options))
    except (RegistrationError, ValueError, ImportError) as error:
        print(f"worker {options.name} cannot start: {explain(error)}", file=sys.stderr)
        return MISCONFIGURED


async def _main(settings: Settings, options: argparse.Namespace) -> int:
    status = await WorkerProcess(settings, options.name, Board(options.board), options.directory).run()
    log.info("worker ends", status=status)
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing that matters is left in this process, and threads that cannot be stopped may be.
    os._exit(status)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
