"""How many machines there should be: a pure function over what was observed and what recent rounds needed.

What the work needs now is the scheduler's own `adaptive_target`, in machines, plus what waits in Redis and is not in
Dask yet, by learned duration.

A need that stays near its mean is met with that mean and some headroom: random arrivals scatter by the square root of
the load (a Poisson process of mean n has the standard deviation √n), and a machine that is started for each of their
peaks comes when that has passed. A need far from the mean, or away from it for a whole `MINIMUM_BILL`, is a change:
what was before is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.autoscaler.settings import MachineSettings, PolicySettings
from services.compute.store.types import Backlog, Depth

UNKNOWN_S = 5.0
"""What a task takes that was never measured. Too much costs some machines their first minute, which is billed anyway;
too little makes everybody wait until a first machine has measured it. With a worker at hand it is known in a moment."""

RESTLESS = 1.5
"""Work that has grown or shrunk by this factor since the last round brings the next one forward."""

HEADROOM = 1.64
"""Standard deviations of the load that are kept as headroom: with so many a Poisson load finds a free thread in 95 % of
the cases."""

CHANGE = 3.0
"""Standard deviations from the mean from which on a need is no fluctuation any more."""

SHIFT = 1.0
"""Standard deviations from the mean that are a change too, when all needs of a `MINIMUM_BILL` are so far off."""

FEW = 4
"""Machines that are started at once whatever the mean is: their users wait for single tasks, and they cost little."""

NOTHING_S = 25.0
"""For so long nothing must be needed before the last machines of a small, random load go: its pauses are short."""

SETTLE_S = 30.0
"""For so long after a scheduler was met it may not know of all its work: what was in flight under the one before is
with neither it nor the queue until the workers have joined and the reconciler has sent the tasks again."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Load:
    """What the policy looks at.

    Attributes:
        now: seconds since the epoch.
        active: machines that take, or will take, work.
        scheduler: id of the scheduler; empty when it gave no answer.
        target: the scheduler's `adaptive_target`; None when it gave no answer.
        dask_workers: Dask workers at the scheduler.
        busy_workers: those of them that have a task.
        others: Dask workers in a growing target that are not this fleet's to provide.
        running: threads of active machines that tasks hold, at most all of each worker.
        backlog: what waits in Redis; None when that is not known.
    """

    now: float
    active: int
    scheduler: str
    target: int | None
    dask_workers: int
    busy_workers: int
    others: int
    running: int
    backlog: Backlog | None


@dataclass(frozen=True, slots=True)
class At:
    """A number of machines at one time."""

    at: float
    machines: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What the policy remembers from round to round; losing it keeps machines for a while longer.

    Attributes:
        needs: what work needed in recent rounds, the latest last; since the last change, at most.
        wanted: machines for them, in the rounds of the stabilisation window, the latest last.
        scheduler: id of the scheduler that was seen last.
        met_at: when that was first seen.
    """

    needs: tuple[At, ...] = ()
    wanted: tuple[At, ...] = ()
    scheduler: str = ""
    met_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What should be, and why.

    Attributes:
        desired: machines; None to hold what is there.
        reason: in words, with the numbers it follows from.
        for_dask: machines for what the scheduler has.
        for_backlog: machines for what waits in Redis.
    """

    desired: int | None
    reason: str
    for_dask: int = 0
    for_backlog: int = 0


def decide(load: Load, memory: Memory, settings: PolicySettings, machine: MachineSettings) -> tuple[Decision, Memory]:
    """Decide, and what to remember for the next time."""
    if load.target is None:
        return Decision(None, f"holding {load.active}: the scheduler gives no answer"), memory
    if load.backlog is None:
        return Decision(None, f"holding {load.active}: Redis gives no answer"), memory
    for_dask = machines_for_dask(load, machine)
    for_backlog = machines_for_backlog(load.backlog, settings.target_duration, machine)
    work = for_dask + for_backlog
    if work == 0 and load.backlog.depth.delayed + load.backlog.depth.flight:
        work = 1
    memory = remember(memory, load, min(work, settings.workers_max), settings, machine)
    # As many as were wanted at any time within the stabilisation window.
    kept = max(settings.workers_min, *(each.machines for each in memory.wanted))
    desired = min(kept, max(settings.workers_min, load.active + settings.scale_up_step))
    reason = f"work needs {work} ({for_dask} for Dask, {for_backlog} for the queue in Redis)"
    if work > settings.workers_max:
        reason += f", the maximum is {settings.workers_max}"
    elif work < settings.workers_min:
        reason += f", the minimum is {settings.workers_min}"
    need = min(max(work, settings.workers_min), settings.workers_max)
    if desired > need:
        reason += f"; {desired - need} more for what recent rounds needed"
    elif desired < min(need, kept):
        reason += f"; at most {settings.scale_up_step} are started in one round"
    elif desired < need:
        reason += f"; {need - desired} more only if that lasts"
    return Decision(desired, reason, for_dask, for_backlog), memory


def machines_for_dask(load: Load, machine: MachineSettings) -> int:
    """Machines for what the scheduler has.

    Its target counts Dask workers, and while there are none, threads. Once it does not ask for more it names all that
    have a task, and since it gives each task to the least busy worker, those are far more than the tasks need: then
    the tasks count, and the idle workers that it wants to keep for the memory of the results that they hold.
    """
    target, threads = load.target or 0, machine.worker_processes * machine.worker_threads
    if load.dask_workers == 0:
        return math.ceil(target / threads)
    free = load.running < load.active * threads
    if target > load.dask_workers or (target == load.dask_workers and not free):
        return math.ceil(max(0, target - load.others) / machine.worker_processes)
    kept = max(0, target - load.busy_workers)
    by_tasks = math.ceil(load.running / threads) + math.ceil(kept / machine.worker_processes)
    return min(by_tasks, math.ceil(target / machine.worker_processes))


def machines_for_backlog(backlog: Backlog, target_duration: float, machine: MachineSettings) -> int:
    """Machines that do what waits in Redis within the target duration; never more threads than tasks."""
    threads = machine.worker_processes * machine.worker_threads
    tasks = backlog.depth.interactive + backlog.depth.batch
    seconds = sum(number * _seconds(backlog, name) for name, number in backlog.waiting.items())
    return math.ceil(min(math.ceil(seconds / target_duration), tasks) / threads) if tasks else 0


def _seconds(backlog: Backlog, name: str) -> float:
    """What a task takes; one that is being measured, at least as long as its first ones are out."""
    known = backlog.durations.get(name)
    return max(UNKNOWN_S, backlog.measuring.get(name, 0.0) / 1000) if known is None else known / 1000


def restless(before: Depth, now: Depth) -> bool:
    """Whether work has come or gone so much that the next decision should not wait for its time."""
    old, new = before.waiting + before.flight, now.waiting + now.flight
    return (old == 0) != (new == 0) or max(old, new) > RESTLESS * min(old, new)


def remember(memory: Memory, load: Load, need: int, settings: PolicySettings, machine: MachineSettings) -> Memory:
    """Take in what this round's work needs, and what is wanted for it."""
    now = load.now
    if load.scheduler != memory.scheduler:
        memory = replace(memory, scheduler=load.scheduler, met_at=now)
    # Without a past of our own, what runs was wanted by somebody who knew better.
    before = memory.wanted[-1] if memory.wanted else At(now, min(load.active, settings.workers_max))
    settling = now - memory.met_at < SETTLE_S
    if settling and need <= before.machines:
        needs, wanted = memory.needs, before.machines  # so little is not believed yet
    else:
        needs = _changed((*memory.needs, At(now, need)), settings, machine)
        wanted = enough(needs, load, settings, machine)
        if settling:
            wanted = max(wanted, before.machines)
    recent = _since(memory.wanted, now - settings.stabilization_window)
    return replace(memory, needs=needs, wanted=(*recent, At(now, wanted)))


def _changed(needs: tuple[At, ...], settings: PolicySettings, machine: MachineSettings) -> tuple[At, ...]:
    """What is remembered of needs: those of the window, and after a change those since."""
    now, need = needs[-1].at, needs[-1].machines
    needs = _since(needs, now - max(settings.fluctuation_window, settings.minimum_bill))
    mean = _mean(needs)
    deviation = _deviation(mean, machine)
    if abs(need - mean) > CHANGE * deviation:
        return needs[-1:]
    recent = [each.machines for each in _since(needs, now - settings.minimum_bill)]
    if min(recent) > mean + SHIFT * deviation or max(recent) < mean - SHIFT * deviation:
        return needs[-len(recent) :]
    return needs


def enough(needs: tuple[At, ...], load: Load, settings: PolicySettings, machine: MachineSettings) -> int:
    """Machines for needs like these."""
    now, need = load.now, needs[-1].machines
    short = now - needs[0].at < settings.minimum_bill  # too short a past for a mean, such as after a burst
    if need == 0 and (short or not any(each.machines for each in _since(needs, now - NOTHING_S))):
        return 0
    if short:
        return max(each.machines for each in needs)
    mean, recent = _mean(needs), [each.machines for each in _since(needs, now - settings.minimum_bill)]
    scatter = math.sqrt(max(0.0, sum(each.machines**2 for each in needs) / len(needs) - mean * mean))
    # Work that does not scatter, such as a few tasks that run for hours, needs no headroom.
    headroom = min(HEADROOM * _deviation(mean, machine), CHANGE * scatter)
    middle = min(max(mean, min(recent)), max(recent))  # where needs are going, it follows within that time
    wanted = max(1, min(need, FEW), math.floor(middle + headroom + _ROUNDING))
    if need < mean:
        wanted = min(wanted, max(need, load.active))  # nothing is started because work shrinks
    return min(settings.workers_max, wanted)


def _since(needs: tuple[At, ...], oldest: float) -> tuple[At, ...]:
    return tuple(each for each in needs if each.at >= oldest)


def _mean(needs: Sequence[At]) -> float:
    return sum(each.machines for each in needs) / len(needs)


def _deviation(mean: float, machine: MachineSettings) -> float:
    """Standard deviation, in machines, of a Poisson load that fills so many of them on average."""
    return math.sqrt(mean / (machine.worker_processes * machine.worker_threads))
