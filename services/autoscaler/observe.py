"""What one round looks at: the fleet, the scheduler, the queue and our own notes, brought together in one snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.autoscaler.model import Ended, FleetView, Machine, Member, Phase, SchedulerView
from services.autoscaler.notes import Notes
from services.autoscaler.policy import Load
from services.autoscaler.presence import Presence, merge
from services.compute.store.types import Backlog


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one round decides from.

    Attributes:
        now: seconds since the epoch.
        members: all machines that are not gone, those included that no listing shows yet.
        ended: machines that are gone since the last round.
        scheduler: None when it gave no answer.
        backlog: what waits in Redis.
        presence: to compare the next round with.
        shown: ids of machines that the fleet itself shows, those that have just ended included.
        settled: ids that the fleet would show also to one who has no notes of them, or that are gone for good.
    """

    now: float
    members: Sequence[Member]
    ended: Sequence[Ended]
    scheduler: SchedulerView | None
    backlog: Backlog
    presence: Presence
    shown: frozenset[str]
    settled: frozenset[str] = frozenset()

    def load(self) -> Load:
        """The policy's part of it."""
        workers = () if self.scheduler is None else self.scheduler.workers
        active = {member.machine.id for member in self.members if member.active}
        return Load(
            now=self.now,
            active=len(active),
            scheduler="" if self.scheduler is None else self.scheduler.id,
            target=None if self.scheduler is None else self.scheduler.target,
            dask_workers=len(workers),
            busy_workers=sum([worker.running > 0 for worker in workers]),
            others=self._others(active),
            running=sum([min(w.running, w.threads) for w in workers if w.machine in active]),
            backlog=self.backlog,
        )

    def _others(self, active: Collection[str]) -> int:
        """Dask workers that are not ours to provide: those of no machine of ours, and busy ones that leave."""
        workers = () if self.scheduler is None else self.scheduler.workers
        own = {member.machine.id for member in self.members}
        return sum([w.machine not in own or (w.machine not in active and w.running > 0) for w in workers])


def bring_together(
    now: float,
    seen: FleetView,
    scheduler: SchedulerView | None,
    backlog: Backlog,
    notes: Notes,
    before: Presence,
) -> Snapshot:
    """Make a snapshot of what was seen."""
    shown = frozenset([*(machine.id for machine in seen.machines), *(each.id for each in seen.ended)])
    everything = [*seen.machines, *_not_shown_yet(notes, shown | seen.settled)]
    if scheduler is None:
        members = tuple(Member(machine, retiring=machine.id in notes.retiring) for machine in everything)
        return Snapshot(now, members, seen.ended, None, backlog, before.hold(), shown, seen.settled)
    members, presence = merge(everything, scheduler, notes.retiring, before, now)
    # What no listing shows cannot be missed yet.
    members = tuple(member if member.machine.id in shown else member._replace(absent_for=0.0) for member in members)
    return Snapshot(now, members, seen.ended, scheduler, backlog, presence, shown, seen.settled)


def _not_shown_yet(notes: Notes, shown: Collection[str]) -> list[Machine]:
    """Machines that were launched, or may have been, and that the fleet neither shows nor knows to be gone."""
    missing = []
    for noted in notes.launches:
        launch = noted.launch
        ids = noted.ids if noted.ids is not None else [f"{launch.token}/{n}" for n in range(launch.count)]
        missing += [
            Machine(machine, Phase.STARTING, launch.capacity, launch.revision, launch.at)
            for machine in ids
            if machine not in shown
        ]
    return missing
