"""The words that the autoscaler thinks in. Values only: no clock, no network.

    machine    one unit that a fleet starts and stops and that is billed: an ECS task, or on one machine a supervisor
               process; it runs WORKER_PROCESSES Dask workers, which announce its id
    launch     one call that asks for some machines; written down before it is made, under a token that makes a
               repetition the same call
    desired    machines that should be
    observed   machines that are, as the fleet says
    starting   observed, not joined: asked for, and no Dask worker of it is at the scheduler yet
    joined     at least one of its Dask workers is at the scheduler
    busy       joined, and a task of Dask is on one of its workers
    retiring   told to take nothing new; it is stopped once nothing runs on it
    stopping   told to stop, or reclaimed; it drains

All times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Capacity(StrEnum):
    """What a machine runs on, which is what it costs."""

    SPOT = "spot"
    ON_DEMAND = "on_demand"


class Phase(StrEnum):
    """What a fleet knows of a machine's life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


class Ending(StrEnum):
    """Why a machine is gone, as far as the next decision depends on it."""

    STOPPED = "stopped"
    """We, or an operator, told it to."""
    RECLAIMED = "reclaimed"
    """Spot took it back."""
    NO_CAPACITY = "no_capacity"
    """It never started: there was no capacity for it."""
    FAILED_TO_START = "failed_to_start"
    """It never ran: image, network, secrets, roles."""
    EXITED = "exited"
    """It ended by itself."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine as its fleet knows it.

    Attributes:
        id: what its Dask workers announce as `machine`: the ECS task's id, without cluster and ARN.
        phase: of its life.
        capacity: Spot or on-demand.
        revision: of the worker's definition that it was started from.
        created_at: when it was asked for.
        billed_from: when its bill began (Fargate: the first pull of an image); None before that.
    """

    id: str
    phase: Phase
    capacity: Capacity
    revision: str
    created_at: float
    billed_from: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A machine that is gone.

    Attributes:
        id: of the machine.
        ending: the kind of end.
        capacity: what it ran on.
        reason: in the fleet's own words.
        at: when it was gone.
    """

    id: str
    ending: Ending
    capacity: Capacity
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class FleetView:
    """A fleet at one moment.

    Attributes:
        machines: all of ours that are not gone, the stopping ones that are still known included.
        ended: those that were in the last view, or were launched since, and are gone now; told once.
        settled: ids that need not be known to be seen: those that a listing shows to whoever looks, and those that are
            gone for good.
    """

    machines: Sequence[Machine]
    ended: Sequence[Ended] = ()
    settled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Launch:
    """An intended launch.

    Attributes:
        token: makes a repetition the same launch, at most 36 characters.
        count: machines, at most the fleet's `launch_max`.
        capacity: what they shall run on.
        revision: of the worker's definition.
        at: when it was intended.
    """

    token: str
    count: int
    capacity: Capacity
    revision: str
    at: float


@dataclass(frozen=True, slots=True)
class Launched:
    """What became of a launch.

    Attributes:
        ids: machines that will be; fewer than asked for when some could not.
        refused: the reasons for those that could not, one each, in the fleet's own words.
        no_capacity: how many of the refused were refused for want of capacity.
    """

    ids: Sequence[str]
    refused: Sequence[str] = ()
    no_capacity: int = 0


@dataclass(frozen=True, slots=True)
class DaskWorker:
    """One worker process, as the scheduler knows it.

    Attributes:
        address: its Dask address.
        name: its name.
        machine: id of its machine; its own name for a worker that is none of ours.
        threads: tasks that it runs at once.
        running: tasks that the scheduler has given it, parents that wait for their children included, and those
            that it has brought along from an earlier scheduler.
        stored: bytes of results that it holds.
        leaving: whether it takes nothing new.
    """

    address: str
    name: str
    machine: str
    threads: int
    running: int = 0
    stored: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class SchedulerView:
    """The scheduler at one moment.

    Attributes:
        id: another one after each of its starts.
        address: where it answered.
        target: Dask workers that it wants, by its `adaptive_target`; threads while it has no worker.
        workers: all that have joined it.
    """

    id: str
    address: str
    target: int
    workers: Sequence[DaskWorker]


class Member(NamedTuple):
    """A machine, with what the scheduler knows of it.

    Attributes:
        machine: as the fleet knows it.
        workers: its Dask workers.
        running: tasks on all of them.
        stored: bytes of results that they hold.
        joined_for: seconds since it was first seen with one; 0 for a machine without.
        absent_for: seconds for which it could have joined and has not; 0 for one that has.
        retiring: whether we have told it to take nothing new.
    """

    machine: Machine
    workers: Sequence[DaskWorker] = ()
    running: int = 0
    stored: int = 0
    joined_for: float = 0.0
    absent_for: float = 0.0
    retiring: bool = False

    @property
    def joined(self) -> bool:
        """Whether a Dask worker of it is at the scheduler."""
        return bool(self.workers)

    @property
    def busy(self) -> bool:
        """Whether a task is on one of its workers."""
        return self.running > 0

    @property
    def active(self) -> bool:
        """Whether it takes, or will take, new work."""
        return not self.retiring and self.machine.phase is not Phase.STOPPING
