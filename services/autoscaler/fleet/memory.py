"""What a fleet of ECS tasks remembers between two looks, so that a listing's gaps are not taken for ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from services.autoscaler.fleet.ecs_task import Owner, Task, ended_of, is_task_id, machine_of, stopped
from services.autoscaler.model import Capacity, Ended, Ending, FleetView, Machine

SHOWN_WITHIN = 300.0
"""Seconds in which ECS shows a task that it has accepted; after that it is taken for gone."""
REMEMBERED = 2 * 3600.0
"""Seconds for which an end is not told again; ECS itself forgets a stopped task after one hour."""


class Memory:
    """The last view, what was launched since, and the ends that were told.

    Args:
        owner: by what own tasks are known.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._last: dict[str, Machine] = {}
        self._fresh: dict[str, tuple[Capacity, float]] = {}
        self._gone: dict[str, float] = {}

    def launched(self, ids: Iterable[str], capacity: Capacity, now: float) -> None:
        """Note machines that ECS has accepted."""
        self._fresh.update((machine, (capacity, now)) for machine in ids if machine not in self._last)

    def owns(self, machine: str) -> bool:
        """Whether a machine was seen or launched here and is not known to be gone."""
        return machine in self._last or machine in self._fresh

    def is_gone(self, machine: str) -> bool:
        """Whether the machine's end was told."""
        return machine in self._gone

    def candidates(self, listed: Set[str], known: Iterable[str]) -> list[str]:
        """Ids to ask for: a listing lacks those that were told to stop, and may lack those that were just started."""
        ids = dict.fromkeys([*listed, *self._last, *self._fresh, *filter(is_task_id, known)])
        return [machine for machine in ids if machine not in self._gone]

    def view(self, listed: Set[str], known: Iterable[str], tasks: Mapping[str, Task], now: float) -> FleetView:
        """Make a view of what ECS said, and remember it.

        Args:
            listed: ids that the listing showed.
            known: ids whose ends are news too.
            tasks: descriptions of the candidates by id; what ECS does not know is not in it.
            now: seconds since the epoch.
        """
        told = {*self._last, *self._fresh, *known}
        owned = {name: task for name, task in tasks.items() if self._owner.owns(task)}
        machines = {name: self._machine(name, task, now) for name, task in owned.items() if not stopped(task)}
        ended = [ended_of(task, now) for name, task in owned.items() if stopped(task) and name in told]
        for name in (*self._last, *self._fresh):
            if name in tasks:
                continue
            if name not in listed:
                ended += self._vanished(name, now)
            elif name in self._last:  # listed and not described: ECS contradicts itself, the next look decides
                machines[name] = self._last[name]
        self._remember(machines, ended, tasks.keys(), now)
        return FleetView(tuple(machines.values()), tuple(ended), frozenset([*(machines.keys() & listed), *self._gone]))

    def _machine(self, name: str, task: Task, now: float) -> Machine:
        machine = machine_of(task, now)
        if "createdAt" not in task and name in self._last:
            return replace(machine, created_at=self._last[name].created_at)
        return machine

    def _vanished(self, machine: str, now: float) -> list[Ended]:
        if seen := self._last.get(machine):
            return [Ended(machine, Ending.EXITED, seen.capacity, "ECS knows nothing of it any more", now)]
        capacity, at = self._fresh[machine]
        if now < at + SHOWN_WITHIN:
            return []
        reason = f"ECS has not shown it in the {SHOWN_WITHIN:g} s since its launch"
        return [Ended(machine, Ending.FAILED_TO_START, capacity, reason, now)]

    def _remember(self, machines: dict[str, Machine], ended: Sequence[Ended], shown: Iterable[str], now: float) -> None:
        over = {end.id for end in ended}.union(shown)
        self._last = machines
        self._fresh = {name: fresh for name, fresh in self._fresh.items() if name not in over}
        self._gone = {name: at for name, at in self._gone.items() if at > now - REMEMBERED}
        self._gone.update((end.id, now) for end in ended)
