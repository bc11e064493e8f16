"""Runs one side on one trace and measures it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.simulator import adaptive, ours
from bench.simulator.settings import Settings
from bench.simulator.traces import Trace, make
from bench.simulator.world import BEGIN, World
from tests.fakes.ecs import ON_DEMAND, SPOT

FIXED_LEAD_S = 90.0


@dataclass(frozen=True)
class Outcome:
    """What one side made of one trace.

    Attributes:
        side: whose.
        cost: dollars.
        p50: median seconds from submission to the start of the run that finished.
        p95: of the same.
        waited: share of the tasks that waited at all.
        wasted: billed thread-seconds without a run that finished.
        makespan: seconds from the start of the trace until its last task was done.
        machines: started in all.
        reruns: runs that were cut off.
        seconds: that the simulation took.
        samples: seconds, tasks at hand, machines.
    """

    side: str
    cost: float
    p50: float
    p95: float
    waited: float
    wasted: float
    makespan: float
    machines: int
    reruns: int
    seconds: float
    samples: list[tuple[float, int, int]] = field(repr=False, default_factory=list)


def _fixed(world: World) -> None:
    """The maximum all the time, there before the first task; what is reclaimed is replaced as soon as it can be."""
    parameters: dict[str, Any] = adaptive.SpecCluster(world, waits=False)._parameters()

    def tick() -> None:
        missing = world.settings.cloud.maximum - world.ecs.lives.alive.total()
        while missing > 0 and world.ecs.run_task(**{**parameters, "count": min(10, missing)})["tasks"]:
            missing -= 10
        if world.over():
            for task in world.ecs.running():
                world.ecs.stop_task(cluster="tidegate", task=task.id)
        else:
            world.at(world.now + 5.0, tick)

    world.at(world.now, tick)


SIDES: dict[str, tuple[Callable[[World], None], bool, float]] = {
    "tidegate": (ours.drive, True, 0.0),
    "adaptive": (adaptive.drive, False, 0.0),
    "adaptive-core": (lambda world: adaptive.drive(world, waits=False), False, 0.0),
    "fixed": (_fixed, False, FIXED_LEAD_S),
}
"""By name: what drives it, whether its workers drain, seconds that it has before the trace begins."""


def percentile(values: list[float], share: float) -> float:
    """The value that so great a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def simulate(trace: Trace, side: str, settings: Settings, seed: int) -> Outcome:
    """Run a trace to its end."""
    logging.getLogger("distributed.deploy.adaptive").setLevel(logging.WARNING)
    began = time.perf_counter()
    drive, drains, lead = SIDES[side]
    world = World(trace, settings, seed, drains=drains, lead=lead)
    drive(world)
    world.run()
    if world.dask.left:
        raise RuntimeError(f"{trace.name}, {side}: {world.dask.left} tasks were never done")
    billed = world.ecs.billed_seconds()
    waits = [task.started - task.arrived for task in world.tasks]
    useful = sum(task.duration for task in world.tasks)
    return Outcome(
        side,
        billed[SPOT] * settings.prices.spot + billed[ON_DEMAND] * settings.prices.on_demand,
        percentile(waits, 0.50),
        percentile(waits, 0.95),
        sum(wait > 0 for wait in waits) / len(waits),
        sum(billed.values()) * settings.cloud.threads - useful,
        max(task.ended for task in world.tasks) - BEGIN,
        len(world.ecs.tasks),
        sum(task.runs - 1 for task in world.tasks),
        time.perf_counter() - began,
        world.samples,
    )


def outcome(name: str, side: str, settings: Settings, seed: int) -> Outcome:
    """Make a trace and run it."""
    return simulate(make(name, settings.traces, seed), side, settings, seed)
