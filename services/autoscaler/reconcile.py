"""What to do about the difference between the machines that should be and those that are: a pure function.

Level-triggered: it looks at what is, never at what was done before, so that an action that got lost is decided again
and one that was done is not. It retires idle machines only, stops what is retired once nothing runs on it, replaces
what never joins, and lets new code arrive before old code leaves, and Spot machines before their on-demand stand-ins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.autoscaler.model import Capacity, Member, Phase
from services.autoscaler.settings import PolicySettings

GONE_S = 30.0
"""A retired machine without a worker at the scheduler for so long has left it; before, it may be joining a new one."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A machine to be stopped, and why."""

    machine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in this round.

    Attributes:
        launch: machines to start.
        retire: machines that shall take nothing new.
        stop: machines on which nothing runs any more, or that never joined.
        reason: in words; empty when there is nothing to do.
    """

    launch: int = 0
    retire: Sequence[str] = ()
    stop: Sequence[Stop] = ()
    reason: str = ""


def reconcile(
    desired: int,
    members: Sequence[Member],
    settings: PolicySettings,
    revision: str,
    now: float,
    on_demand_base: int = 0,
    *,
    replace_on_demand: bool = False,
) -> Plan:
    """Plan one round.

    Args:
        desired: machines that should be; at most the maximum.
        members: all machines that are not gone.
        settings: windows and bounds.
        revision: of the worker's definition that machines should have.
        now: seconds since the epoch.
        on_demand_base: on-demand machines that are wanted as such.
        replace_on_demand: whether those beyond it should give way to Spot machines, as old code does to new.
    """
    lost: list[Member] = []
    active: list[Member] = []
    for member in members:
        if member.active:
            (lost if member.absent_for > settings.join_timeout else active).append(member)
    current, outdated = _sort_out(active, revision, on_demand_base if replace_on_demand else None)
    launch = _launch(desired, members, current, outdated, settings)
    retire = [
        *_replaced(desired, current, outdated, settings, now),
        *_surplus(desired, current, outdated, settings, now, on_demand_base),
    ]
    stop = [Stop(m.machine.id, f"did not join the scheduler within {settings.join_timeout:g} s") for m in lost]
    stop += [Stop(m.machine.id, "retired, and nothing runs on it") for m in members if m.retiring and _done(m)]
    return Plan(launch, tuple(retire), tuple(stop), _reason(launch, retire, stop, outdated))


def _sort_out(
    active: Sequence[Member], revision: str, on_demand_base: int | None
) -> tuple[Sequence[Member], Sequence[Member]]:
    """Machines to keep, and those that others replace: old code, on-demand beyond the base once Spot is back."""
    current = [member for member in active if member.machine.revision == revision]
    outdated = [member for member in active if member.machine.revision != revision]
    if on_demand_base is None:
        return current, outdated
    dear = [member for member in current if member.machine.capacity is Capacity.ON_DEMAND]
    dear.sort(key=lambda member: (not member.busy, member.machine.id))
    replaced = {member.machine.id for member in dear[on_demand_base:]}
    keep = [member for member in current if member.machine.id not in replaced]
    return keep, [*outdated, *dear[on_demand_base:]]


def _done(member: Member) -> bool:
    """Whether a retired machine can be stopped: it takes nothing new and runs nothing, or has left for good."""
    if member.machine.phase is Phase.STOPPING:
        return False
    if not member.joined:  # it may be on its way to another scheduler with what it runs
        return member.absent_for > GONE_S
    return all(worker.leaving and not worker.running for worker in member.workers)


def _launch(
    desired: int,
    members: Sequence[Member],
    current: Sequence[Member],
    outdated: Sequence[Member],
    settings: PolicySettings,
) -> int:
    """Machines that are missing, within step and maximum; new code starts beside the old, beyond it where it must."""
    free = room(members, settings, surge=bool(outdated))
    return max(0, min(desired - len(current), free, settings.scale_up_step))


def room(members: Sequence[Member], settings: PolicySettings, *, surge: bool) -> int:
    """Machines that may be started within the maximum, or within what may be beyond it while others are replaced."""
    limit = settings.workers_max + (settings.rollout_surge if surge else 0)
    return max(0, limit - sum([member.machine.phase is not Phase.STOPPING for member in members]))


def _replaced(
    desired: int, current: Sequence[Member], outdated: Sequence[Member], settings: PolicySettings, now: float
) -> list[str]:
    """Machines whose work others can do by now; busy ones, which finish what they run, only for others that came."""
    if not outdated:
        return []
    arrived = sum(member.joined for member in current)
    there = [member for member in outdated if member.joined]
    surplus = max(0, len(there) - max(0, desired - arrived))
    ready = [member for member in there if _old_enough(member, settings, now)]
    ready.sort(key=lambda member: (member.stored, member.machine.id))
    idle = [member for member in ready if not member.busy][:surplus]
    busy = [member for member in ready if member.busy][: min(surplus - len(idle), arrived)]
    return [member.machine.id for member in (*idle, *busy)]


def _surplus(
    desired: int,
    current: Sequence[Member],
    outdated: Sequence[Member],
    settings: PolicySettings,
    now: float,
    on_demand_base: int,
) -> Iterable[str]:
    """Idle machines beyond what is desired, not counting on those to come: the dearest first, then the emptiest.

    Those of the on-demand base come last: they go when the others that are needed are busy.
    """
    surplus = len([member for member in current if member.workers]) - desired
    if surplus <= 0 or outdated:
        return
    on_demand = Capacity.ON_DEMAND
    spare_on_demand = sum([m.machine.capacity is on_demand for m in current]) - min(on_demand_base, desired)
    idle = [
        (m.machine.capacity is not on_demand, m.stored, -m.machine.created_at, m.machine.id)
        for m in current
        if m.workers and not m.running and _old_enough(m, settings, now)
    ]
    idle.sort()
    dear = [machine for on_spot, *_, machine in idle if not on_spot]
    spot = [machine for on_spot, *_, machine in idle if on_spot]
    spare = max(0, spare_on_demand)
    yield from [*dear[:spare], *spot, *dear[spare:]][:surplus]


def _old_enough(member: Member, settings: PolicySettings, now: float) -> bool:
    begun = member.machine.billed_from
    return (
        member.joined_for >= settings.newest_grace
        and now - (member.machine.created_at if begun is None else begun) >= settings.minimum_bill
    )


def _reason(launch: int, retire: Sequence[str], stop: Sequence[Stop], outdated: Sequence[Member]) -> str:
    parts = []
    if launch:
        parts.append(f"start {launch}" + (" to replace others" if outdated else ""))
    if retire:
        parts.append(f"retire {len(retire)}" + (" that are replaced" if outdated else ""))
    if stop:
        parts.append(f"stop {len(stop)}")
    return ", ".join(parts)
