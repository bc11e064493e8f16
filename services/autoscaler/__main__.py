"""`python -m services.autoscaler`: keeps the fleet as large as the work needs, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from services.autoscaler.controller import Controller
from services.autoscaler.embedded import Embedded
from services.autoscaler.emitted import EMITTED
from services.autoscaler.errors import FleetUnavailable
from services.autoscaler.fleet import Fleet
from services.autoscaler.loop import Loop
from services.autoscaler.metrics import HttpServer, Metrics
from services.autoscaler.report import Report
from services.autoscaler.scheduler import SchedulerClient
from services.autoscaler.settings import AutoscalerSettings
from services.compute import log
from services.compute.emf import Emitter
from services.compute.security import security
from services.compute.settings import LogSettings, MetricsSettings, RedisSettings, SchedulerSettings, explain
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
        emf = MetricsSettings()
        log.configure(logging_settings)
        addresses = [address for address in (dask.scheduler_address, dask.scheduler_fallback) if address]
        scheduler = SchedulerClient(addresses, security(dask), settings.target_duration)
        store = Store.from_settings(RedisSettings())
        fleet = open_fleet(settings)
    except (ValueError, FleetUnavailable) as error:
        print(f"the autoscaler cannot start: {explain(error)}", file=sys.stderr)
        return os.EX_CONFIG
    try:
        return run(settings, fleet, scheduler, store, Embedded(Emitter(emf, EMITTED)) if emf.metrics_emf else None)
    finally:
        fleet.close()
        scheduler.close()
        store.close()


def run(
    settings: AutoscalerSettings,
    fleet: Fleet,
    scheduler: SchedulerClient,
    store: Store,
    embedded: Embedded | None = None,
) -> int:
    """Do rounds until a signal comes; the exit status."""
    metrics = Metrics()
    controller = Controller(fleet, scheduler, store, settings)
    report = Report(observe_only=settings.observe_only)
    loop = Loop(controller, store, report, metrics, settings.autoscaler_interval, embedded=embedded)

    def end(_: int, __: FrameType | None) -> None:
        loop.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server = None
    if settings.autoscaler_port:
        try:
            server = HttpServer(settings.autoscaler_host, settings.autoscaler_port, metrics, loop.alive)
        except OSError as error:
            where = f"{settings.autoscaler_host}:{settings.autoscaler_port}"
            print(f"the autoscaler cannot listen at {where}: {error}. Set AUTOSCALER_PORT.", file=sys.stderr)
            return 1
    loop.run()
    if server is not None:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
