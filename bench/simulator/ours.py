"""Tidegate's side: the real controller and ECS fleet over the fake ECS; Redis is a few dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from bench.simulator.world import BEGIN, World
from services.autoscaler.controller import Controller
from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.loop import LOOK_S
from services.autoscaler.model import DaskWorker, SchedulerView
from services.autoscaler.policy import restless
from services.compute.store.types import Backlog, Depth


def in_redis(world: World) -> int:
    """Tasks that the dispatcher has not sent: all while there is no worker, and most while nothing is measured yet."""
    dask = world.dask
    if dask.workers and dask.prefix.duration_average >= 0:
        return 0
    return len(dask.queued)


NAME = "work"


class MemoryStore:
    """The controller's `Store`: what waits in Redis is what the dispatcher holds back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._notes: dict[str, bytes] = {}

    def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """See `Store`."""
        return bool(name and owner and ttl_ms)

    def release(self, name: str, owner: str) -> bool:
        """See `Store`."""
        return bool(name and owner)

    def fleet_notes(self) -> dict[str, bytes]:
        """See `Store`."""
        return dict(self._notes)

    def backlog(self) -> Backlog:
        """See `Store`."""
        dask, waiting = self._world.dask, in_redis(self._world)
        if not waiting:
            return Backlog(self.depth())
        if dask.prefix.duration_average >= 0:
            return Backlog(self.depth(), {NAME: waiting}, {NAME: dask.prefix.duration_average * 1000})
        out = {NAME: 1000 * (self._world.now - dask.first_started)} if dask.busy else {}
        return Backlog(self.depth(), {NAME: waiting}, measuring=out)

    def depth(self) -> Depth:
        """See `Store`."""
        waiting = in_redis(self._world)
        return Depth(0, waiting, 0, self._world.dask.left - waiting)

    def put_fleet(
        self,
        owner: str,
        document: bytes | None = None,
        *,
        notes: Mapping[str, bytes] | None = None,
        drop: Sequence[str] = (),
    ) -> bool:
        """See `Notebook`."""
        del owner, document
        self._notes.update(notes or {})
        for name in drop:
            self._notes.pop(name, None)
        return True


class ModelScheduler:
    """What the controller asks of the scheduler, answered by Dask's model."""

    def __init__(self, world: World, target_duration: float) -> None:
        self._world = world
        self._dask = world.dask
        self._target_duration = target_duration

    def look(self) -> SchedulerView:
        """See `Scheduler`."""
        workers = tuple(
            DaskWorker(each.address, name, name, each.nthreads, len(each.processing), 0, each.leaving)
            for name, each in self._dask.workers.items()
        )
        target = self._dask.adaptive_target(self._target_duration, held_back=in_redis(self._world))
        return SchedulerView("model", "tcp://model", target, workers)

    def retire(self, workers: Sequence[str]) -> frozenset[str]:
        """See `Scheduler`."""
        wanted = set(workers)
        for worker in list(self._dask.workers.values()):
            if worker.address in wanted:
                self._dask.leave(worker.name)
        return frozenset(workers)


def drive(world: World) -> None:
    """Let the controller do its rounds in this world."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    settings = world.settings.autoscaler()
    fleet = EcsFleet(world.ecs, settings, clock=world.clock)
    store = MemoryStore(world)
    controller = Controller(fleet, ModelScheduler(world, settings.target_duration), store, settings, clock=world.clock)

    rested = 0.0
    before = Depth(0, 0, 0, 0)

    def tick() -> None:
        nonlocal rested, before
        depth = store.depth()
        if rested >= settings.autoscaler_interval or restless(before, depth):
            rested, before = 0.0, depth
            if depth.flight or depth.waiting or world.ecs.lives.alive.total() or world.dask.workers:
                controller.round()
        rested += LOOK_S
        world.at(world.now + LOOK_S, tick)

    world.at(BEGIN, tick)
