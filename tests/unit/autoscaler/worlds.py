"""Small worlds for the tests: machines and workers by the dozen, a store in memory, a scheduler by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.autoscaler.errors import SchedulerUnavailable
from services.autoscaler.model import Capacity, DaskWorker, Machine, Member, Phase, SchedulerView
from services.autoscaler.settings import AutoscalerSettings
from services.compute.errors import StoreUnavailable
from services.compute.store.types import Backlog, Depth

NOW = 1_000_000.0


def settings(**changes: object) -> AutoscalerSettings:
    """Settings of an ECS fleet, with these changes."""
    base = {
        "ecs_cluster": "tidegate",
        "worker_task_definition": "worker:1",
        "worker_subnets": "subnet-1",
        "worker_security_groups": "sg-1",
    }
    return AutoscalerSettings.model_validate({**base, **changes})


def machine(name: str, **changes: object) -> Machine:
    """A Spot machine of revision 1 that has run for an hour."""
    values = {
        "phase": Phase.RUNNING,
        "capacity": Capacity.SPOT,
        "revision": "1",
        "created_at": NOW - 3600,
        "billed_from": NOW - 3590,
    }
    return Machine(name, **{**values, **changes})  # type: ignore[arg-type]


def worker(machine_id: str, running: int = 0, **changes: object) -> DaskWorker:
    """A Dask worker of a machine."""
    values = {"address": f"tcp://{machine_id}", "name": f"{machine_id}-0", "machine": machine_id, "threads": 1}
    return DaskWorker(**{**values, "running": running, **changes})  # type: ignore[arg-type]


def member(name: str, running: int | None = 0, **changes: object) -> Member:
    """A machine with one worker that runs so many tasks; None for one that has not joined."""
    own = {key: changes.pop(key) for key in ("joined_for", "absent_for", "retiring") if key in changes}
    workers = () if running is None else (worker(name, running),)
    return Member(machine(name, **changes), workers, running or 0, **{"joined_for": 3000.0, **own})  # type: ignore[arg-type]


def backlog(waiting: Mapping[str, float] | None = None, *, flight: int = 0, delayed: int = 0, **ms: float) -> Backlog:
    """A queue with these tasks, whose durations are given by name in milliseconds."""
    waiting = waiting or {}
    return Backlog(Depth(0, int(sum(waiting.values())), delayed, flight), waiting, ms)


@dataclass
class MemoryStore:
    """The controller's store, in memory; several controllers may share it."""

    clock: Callable[[], float]
    work: Backlog = field(default_factory=backlog)
    notes: dict[str, bytes] = field(default_factory=dict)
    document: bytes | None = None
    holder: tuple[str, float] | None = None
    away: bool = False
    fail_after: int | None = None

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("Redis does not answer")

    def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        self._answer()
        if self.holder is not None and self.holder[0] != owner and self.holder[1] > self.clock():
            return False
        self.holder = (owner, self.clock() + ttl_ms / 1000)
        return True

    def release(self, name: str, owner: str) -> bool:
        self._answer()
        mine = self.holder is not None and self.holder[0] == owner
        if mine:
            self.holder = None
        return mine

    def fleet_notes(self) -> dict[str, bytes]:
        self._answer()
        return dict(self.notes)

    def put_fleet(
        self,
        owner: str,
        document: bytes | None = None,
        *,
        notes: Mapping[str, bytes] | None = None,
        drop: Iterable[str] = (),
    ) -> bool:
        self._answer()
        if self.holder is None or self.holder[0] != owner or self.holder[1] <= self.clock():
            return False
        if self.fail_after is not None:
            self.fail_after -= 1
            if self.fail_after < 0:
                raise StoreUnavailable("Redis went away")
        self.notes.update(notes or {})
        for name in drop:
            self.notes.pop(name, None)
        self.document = document or self.document
        return True

    def backlog(self) -> Backlog:
        self._answer()
        return self.work


@dataclass
class HandScheduler:
    """A scheduler whose workers and wishes a test sets; retired workers take nothing new."""

    workers: dict[str, DaskWorker] = field(default_factory=dict)
    target: int = 0
    id: str = "scheduler-1"
    away: bool = False
    keeps: set[str] = field(default_factory=set)
    retired: list[str] = field(default_factory=list)

    def look(self) -> SchedulerView:
        if self.away:
            raise SchedulerUnavailable("no Dask scheduler answers")
        return SchedulerView(self.id, "tcp://scheduler", self.target, tuple(self.workers.values()))

    def retire(self, workers: Sequence[str]) -> frozenset[str]:
        if self.away:
            raise SchedulerUnavailable("no Dask scheduler answers")
        gone = frozenset(workers) - self.keeps
        self.retired += sorted(gone)
        for name, each in list(self.workers.items()):
            if each.address in gone:
                self.workers[name] = replace(each, leaving=True)
        return gone

    def join(self, *machines: str, running: int = 0) -> None:
        for each in machines:
            self.workers[each] = worker(each, running)

    def leave(self, *machines: str) -> None:
        for each in machines:
            self.workers.pop(each, None)

    def run(self, machine_id: str, running: int) -> None:
        self.workers[machine_id] = replace(self.workers[machine_id], running=running)
