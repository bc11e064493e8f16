"""Carries plans out. Before a machine is started or retired it is written down; each call is made only under the lease.

Nothing is tried again here: what fails is decided anew in the next round.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from services.autoscaler import notes as book
from services.autoscaler.errors import (
    FleetThrottled,
    FleetUnavailable,
    LaunchRefused,
    MachineUnknown,
    SchedulerUnavailable,
)
from services.autoscaler.fleet import Fleet
from services.autoscaler.model import Capacity, Launch, Member, SchedulerView
from services.autoscaler.reconcile import Stop
from services.compute.errors import TidegateError

LEASE = "autoscaler"
LEASE_MS = 15_000
"""Longer than any one call takes; prolonged after each look and before each call that changes something."""

log = structlog.get_logger(__name__)


class LeaseLost(TidegateError):
    """Another autoscaler has taken over: this one must not act any more."""


class Scheduler(Protocol):
    """What is wanted of the scheduler."""

    def look(self) -> SchedulerView:
        """Its wish and its workers; raises SchedulerUnavailable."""

    def retire(self, workers: Sequence[str]) -> frozenset[str]:
        """Let workers take nothing new; the addresses of those that do; raises SchedulerUnavailable."""


class Notebook(Protocol):
    """What is wanted of Redis: the lease, and notes that are written under it only."""

    def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take or prolong the lease."""

    def put_fleet(
        self,
        owner: str,
        document: bytes | None = None,
        *,
        notes: Mapping[str, bytes] | None = None,
        drop: Sequence[str] = (),
    ) -> bool:
        """Change notes; False when the lease is not the owner's."""


@dataclass(slots=True)
class Done:
    """What one round did.

    Attributes:
        launched: ids of machines that were asked for, by capacity.
        retired: machines that take nothing new any more.
        stopped: machines that were told to stop.
        failures: what did not work, in the words of whoever refused.
        short: capacities of which there was not enough.
        start_failed: capacities on which a launch was refused for good.
        wait: seconds for which the fleet should not be asked again.
    """

    launched: dict[Capacity, list[str]] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    short: set[Capacity] = field(default_factory=set)
    start_failed: set[Capacity] = field(default_factory=set)
    wait: float = 0.0

    def failed(self, error: Exception) -> None:
        """Note a failure."""
        self.failures.append(str(error))
        if isinstance(error, FleetThrottled):
            self.wait = max(self.wait, error.wait)


class Actor:
    """Acts for one owner of the lease.

    Args:
        fleet: starts and stops machines.
        scheduler: lets Dask workers take nothing new.
        notebook: Redis.
        owner: the lease's.
        clock: seconds since the epoch.
    """

    def __init__(
        self, fleet: Fleet, scheduler: Scheduler, notebook: Notebook, owner: str, clock: Callable[[], float]
    ) -> None:
        self._fleet = fleet
        self._scheduler = scheduler
        self._notebook = notebook
        self._owner = owner
        self._clock = clock

    def hold(self) -> None:
        """Prolong the lease.

        Raises:
            LeaseLost: somebody else acts now.
        """
        if not self._notebook.lease(LEASE, self._owner, LEASE_MS):
            raise LeaseLost("the lease has passed to another autoscaler")

    def write(self, notes: Mapping[str, bytes] | None = None, drop: Sequence[str] = ()) -> None:
        """Prolong the lease and change notes.

        Raises:
            LeaseLost: somebody else acts now.
        """
        self.hold()
        if not self._notebook.put_fleet(self._owner, notes=notes or {}, drop=drop):
            raise LeaseLost("the lease has passed to another autoscaler")

    def replay(self, launches: Sequence[Launch], done: Done) -> None:
        """Make launches again whose answers are not known."""
        for launch in launches:
            log.info("launch is made again, its answer is not known", token=launch.token, count=launch.count)
            if not self._launch(launch, done, again=True):
                return

    def launch(self, counts: Mapping[Capacity, int], done: Done) -> None:
        """Start machines, in as few calls as the fleet allows."""
        most = self._fleet.launch_max
        for capacity, count in counts.items():
            for begin in range(0, count, most):
                launch = Launch(
                    secrets.token_hex(16), min(most, count - begin), capacity, self._fleet.revision, self._clock()
                )
                if not self._launch(launch, done):
                    return
                if capacity in done.short:
                    break  # more of the same would be refused as well

    def _launch(self, launch: Launch, done: Done, *, again: bool = False) -> bool:
        """Make one launch; whether another one has a chance.

        A launch that is made again keeps its note until it is answered: that this call did nothing says nothing about
        the one before.
        """
        name = book.launch_name(launch)
        self.write({name: book.written(launch)})
        try:
            launched = self._fleet.launch(launch)
        except FleetThrottled as error:
            self.write(drop=[] if again else [name])
            done.failed(error)
            return False
        except LaunchRefused as error:
            self.write(drop=[] if again else [name])
            done.failed(error)
            if not again:
                done.start_failed.add(launch.capacity)
            return False
        except FleetUnavailable as error:  # it may have worked: the note stays
            done.failed(error)
            return False
        self.write({name: book.written(launch, launched.ids)})
        done.launched.setdefault(launch.capacity, []).extend(launched.ids)
        done.failures += sorted(set(launched.refused))
        if launched.no_capacity:
            done.short.add(launch.capacity)
        return True

    def retire(self, members: Sequence[Member], done: Done) -> Sequence[Stop]:
        """Let machines take nothing new, then look again: those on which nothing runs can be stopped at once.

        A machine of which the scheduler keeps all workers stays at work; one of which it keeps some does not come back
        to full strength: its note stays, so that others are started for it, and the next rounds ask again.
        """
        if not members:
            return ()
        self.write({book.retire_name(member.machine.id): b"{}" for member in members})
        try:
            gone = self._scheduler.retire([worker.address for member in members for worker in member.workers])
            self.hold()
            view = self._scheduler.look()
        except SchedulerUnavailable as error:  # noted, so that the next round asks again
            done.failed(error)
            return ()
        refused = [member for member in members if not {worker.address for worker in member.workers} <= gone]
        if refused:
            halved = {worker.machine for worker in view.workers if worker.leaving}
            whole = [member.machine.id for member in refused if member.machine.id not in halved]
            self.write(drop=[book.retire_name(machine) for machine in whole])
            done.failures.append(f"the scheduler keeps {len(refused)} machines for the data that they hold")
        there = {worker.machine for worker in view.workers}
        at_work = {worker.machine for worker in view.workers if worker.running or not worker.leaving}
        leaving = [member.machine.id for member in members if member not in refused]
        done.retired += leaving
        return [Stop(machine, "retired, and nothing runs on it") for machine in leaving if machine in there - at_work]

    def stop(self, stops: Sequence[Stop], done: Done) -> None:
        """Tell machines to stop; each drains first."""
        for stop in stops:
            self.write()
            try:
                self._fleet.stop(stop.machine, stop.reason)
            except FleetUnavailable as error:
                done.failed(error)
                return
            except MachineUnknown as error:
                done.failed(error)
            else:
                done.stopped.append(stop.machine)
