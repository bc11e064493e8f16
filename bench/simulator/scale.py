"""One round's thinking at 10,000 machines and 1,000,000 tasks: presence, policy and plan, without any call."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median

from bench.simulator.ours import MemoryStore, ModelScheduler
from bench.simulator.settings import Cloud, Settings
from bench.simulator.traces import Trace
from bench.simulator.world import BEGIN, World
from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.fleet.ecs_task import COMPONENT, COMPONENT_TAG, FLEET_TAG
from services.autoscaler.model import FleetView, SchedulerView
from services.autoscaler.notes import Notes
from services.autoscaler.observe import bring_together
from services.autoscaler.policy import Memory, decide
from services.autoscaler.presence import Presence
from services.autoscaler.reconcile import Plan, reconcile
from services.autoscaler.settings import AutoscalerSettings
from tests.fakes.ecs_limits import UNLIMITED

MACHINES = 10_000
TASKS = 1_000_000
TIMES = 7


def _world(machines: int, tasks: int) -> tuple[World, SchedulerView, FleetView, AutoscalerSettings]:
    """A fleet that runs and joined long ago, and tasks of 20 s of which each thread has one or two."""
    settings = Settings(cloud=Cloud(maximum=machines), ours={"scale_up_step": machines})
    world = World(Trace("scale", 0.0, ()), settings, 1, drains=True, quotas=UNLIMITED)
    own = settings.autoscaler()
    fleet = EcsFleet(world.ecs, own, clock=world.clock)
    for _ in range(machines // 10):
        world.ecs.run_task(**{**_parameters(), "count": 10})
    world.now = BEGIN + 90.0
    world.ecs.advance()
    for machine in world.ecs.tasks:
        world.dask.join(machine, settings.cloud.threads)
    world.dask.prefix.add_duration("compute", 0.0, 20.0)
    for _ in range(tasks):
        world.dask.submit(20.0)
    return world, ModelScheduler(world, own.target_duration).look(), fleet.observe(), own


def _parameters() -> dict[str, object]:
    """What RunTask is asked for, as the fleet asks."""
    return {
        "cluster": "tidegate",
        "taskDefinition": "tidegate-worker:1",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "startedBy": "tidegate/tidegate",
        "tags": [{"key": FLEET_TAG, "value": "tidegate"}, {"key": COMPONENT_TAG, "value": COMPONENT}],
    }


def _timed(think: Callable[[], Plan]) -> tuple[float, Plan]:
    times = []
    for _ in range(TIMES):
        began = time.process_time()
        plan = think()
        times.append(time.process_time() - began)
    return median(times) * 1000, plan


def measure(machines: int = MACHINES, tasks: int = TASKS) -> dict[str, tuple[float, Plan]]:
    """Milliseconds of CPU and plan of one round: all busy, and all idle so that all are retired at once."""
    world, busy, seen, settings = _world(machines, tasks)
    idle_view = _world(machines, 0)[1]
    idle = SchedulerView(busy.id, busy.address, 0, idle_view.workers)
    backlog, notes = MemoryStore(world).backlog(), Notes((), frozenset())
    rounds: dict[str, tuple[float, Plan]] = {}
    gc.collect()
    gc.freeze()  # a million tasks are in this process, not in the autoscaler's
    for name, view in {"all busy": busy, "all idle": idle}.items():
        before = Presence(view.id, {machine.id: BEGIN for machine in seen.machines}, {})

        def think(view: SchedulerView = view, before: Presence = before) -> Plan:
            now = world.now + 300.0
            snapshot = bring_together(now, FleetView(seen.machines), view, backlog, notes, before)
            decision, _ = decide(snapshot.load(), Memory(), settings, settings)
            desired = 0 if view is idle else decision.desired or 0
            return reconcile(desired, snapshot.members, settings, "1", now)

        rounds[name] = _timed(think)
    return rounds
