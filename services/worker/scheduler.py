"""`python -m services.worker.scheduler`: the Dask scheduler, from the worker image so that it can import what passes.

It keeps nothing that matters: whatever it forgets when it ends, the reconciler sends to the next one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from services.compute.security import security
from services.compute.settings import LogSettings, SchedulerSettings, explain
from services.worker import logs
from services.worker.dask_config import SCHEDULER
from services.worker.exits import MISCONFIGURED
from services.worker.settings import SchedulerProcessSettings

if TYPE_CHECKING:
    from distributed import Scheduler

log = structlog.get_logger(__name__)


def make_scheduler(settings: SchedulerProcessSettings, cluster: SchedulerSettings) -> Scheduler:
    """A scheduler that has not been started; call it inside the event loop."""
    from distributed import Scheduler

    class QuietScheduler(Scheduler):
        """Dask's scheduler without its HTTP server, which would listen at a port of its own choice."""

        def start_http_server(self, *args: object, **kwargs: object) -> None:
            if settings.scheduler_dashboard_port:
                super().start_http_server(*args, **kwargs)  # type: ignore[no-untyped-call]

    secure = security(cluster)
    port = settings.scheduler_dashboard_port
    return QuietScheduler(
        host=settings.scheduler_host,
        port=settings.scheduler_port,
        protocol="tls" if secure.require_encryption else "tcp",
        security=secure,
        dashboard=_has_bokeh() if port else False,
        dashboard_address=f"{settings.scheduler_host}:{port}" if port else None,
    )


def _has_bokeh() -> bool:
    import importlib.util

    return importlib.util.find_spec("bokeh") is not None


async def serve(settings: SchedulerProcessSettings, cluster: SchedulerSettings) -> None:
    """Run a scheduler until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    scheduler = await make_scheduler(settings, cluster)
    log.info("scheduler ready", address=scheduler.address, id=scheduler.id)
    closed = asyncio.ensure_future(scheduler.finished())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait({closed, asked}, return_when=asyncio.FIRST_COMPLETED)
    log.info("scheduler ends")
    try:
        async with asyncio.timeout(5):
            await scheduler.close(reason="scheduler ends")
    except TimeoutError:
        log.warning("scheduler did not close in time")


def main() -> int:
    """Run the scheduler; the process's exit status."""
    import dask

    try:
        settings, cluster, logging_settings = SchedulerProcessSettings(), SchedulerSettings(), LogSettings()
    except ValueError as error:
        print(f"scheduler: {explain(error)}", file=sys.stderr)
        return MISCONFIGURED
    dask.config.set(SCHEDULER)
    logs.configure(logging_settings)
    try:
        asyncio.run(serve(settings, cluster))
    except (OSError, ValueError) as error:
        log.error(  # noqa: TRY400
            "scheduler cannot listen: choose another SCHEDULER_HOST or SCHEDULER_PORT",
            host=settings.scheduler_host,
            port=settings.scheduler_port,
            error=str(error),
        )
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Interpreter exit would wait for Dask's helper threads.
    os._exit(status)
