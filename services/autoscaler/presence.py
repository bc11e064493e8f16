"""Brings together what the fleet says of machines and the scheduler of Dask workers, and since when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.autoscaler.model import DaskWorker, Machine, Member, Phase, SchedulerView


@dataclass(frozen=True, slots=True)
class Presence:
    """Since when machines have been joined or absent, by id.

    Attributes:
        scheduler: id of the scheduler that the times are about: all are absent from a new one at first, so their
            time begins anew.
        joined: machines with a Dask worker.
        absent: machines that could have one and do not.
        at: when that scheduler was last seen.
        held: whether it has given no answer since.
    """

    scheduler: str = ""
    joined: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, float] = field(default_factory=dict)
    at: float = 0.0
    held: bool = False

    def hold(self) -> Presence:
        """The scheduler gives no answer: this time will not be counted as absence, since nobody could join."""
        return replace(self, held=True)

    def resumed(self, scheduler: str, now: float) -> Presence:
        """A scheduler answers: absences begin anew with another one, and go on where they were with the same."""
        if self.scheduler != scheduler:
            return Presence(scheduler, self.joined)
        if not self.held:
            return self
        return replace(self, absent={name: since + now - self.at for name, since in self.absent.items()}, held=False)


def merge(
    machines: Sequence[Machine], view: SchedulerView, retiring: Collection[str], before: Presence, now: float
) -> tuple[tuple[Member, ...], Presence]:
    """All machines with their Dask workers, and the presence to compare the next round with."""
    before = before.resumed(view.id, now)
    by_machine: dict[str, list[DaskWorker]] = {}
    for worker in view.workers:
        by_machine.setdefault(worker.machine, []).append(worker)
    joined: dict[str, float] = {}
    absent: dict[str, float] = {}
    members = []
    for machine in machines:
        name = machine.id
        workers = by_machine.get(name, ())
        running = stored = 0
        for worker in workers:
            running += worker.running
            stored += worker.stored
        since = now
        if workers:
            since = joined[name] = before.joined.get(name, now)
        elif machine.phase is not Phase.STOPPING:
            since = absent[name] = before.absent.get(name, now)
        here, away = (now - since, 0.0) if workers else (0.0, now - since)
        members.append(Member(machine, workers, running, stored, here, away, name in retiring))
    return tuple(members), Presence(view.id, joined, absent, now)
