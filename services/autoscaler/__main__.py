"""`python -m services.autoscaler`: keeps the fleet as large as the work needs, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from pydantic import ValidationError

from services.autoscaler.controller import Controller
from services.autoscaler.fleet import Fleet
from services.autoscaler.loop import Loop
from services.autoscaler.metrics import HttpServer, Metrics
from services.autoscaler.report import Report
from services.autoscaler.scheduler import SchedulerClient
from services.autoscaler.settings import AutoscalerSettings
from services.compute import log
from services.compute.security import security
from services.compute.settings import LogSettings, RedisSettings, SchedulerSettings
from services.compute.store import Store


def open_fleet(settings: AutoscalerSettings) -> Fleet:
    """The fleet that the settings name."""
    if settings.fleet == "ecs":
        from services.autoscaler.fleet.ecs import open_ecs_fleet

        return open_ecs_fleet(settings)
    from services.autoscaler.fleet.local import LocalFleet

    return LocalFleet(settings, os.environ)


def main() -> int:
    """Read the settings and run; the exit status, 78 when starting again would not help."""
    try:
        settings, dask, logging_settings = AutoscalerSettings(), SchedulerSettings(), LogSettings()
        secure = security(dask)
        redis = RedisSettings()
    except (ValidationError, ValueError) as error:
        print(f"the autoscaler cannot start: {error}", file=sys.stderr)
        return os.EX_CONFIG
    log.configure(logging_settings)
    store, fleet, metrics = Store.from_settings(redis), open_fleet(settings), Metrics()
    addresses = [address for address in (dask.scheduler_address, dask.scheduler_fallback) if address]
    scheduler = SchedulerClient(addresses, secure, settings.target_duration)
    controller = Controller(fleet, scheduler, store, settings)
    report = Report(observe_only=settings.observe_only)
    loop = Loop(controller, store, report, metrics, settings.autoscaler_interval)

    def end(_: int, __: FrameType | None) -> None:
        loop.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server = None
    try:
        if settings.autoscaler_port:
            server = HttpServer(settings.autoscaler_host, settings.autoscaler_port, metrics, loop.alive)
        loop.run()
    except OSError as error:
        print(f"the autoscaler cannot listen at port {settings.autoscaler_port}: {error}", file=sys.stderr)
        return 1
    finally:
        fleet.close()
        scheduler.close()
        if server is not None:
            server.close()
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
