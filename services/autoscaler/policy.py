"""How many machines there should be: a pure function over what was observed and what recent rounds needed.

What the work needs now is the scheduler's own `adaptive_target`, in machines, plus what waits in Redis and is not in
Dask yet, by learned duration. Up at once, down late: machines that were needed within the stabilisation window stay,
and of those needed a little earlier as many as random arrivals may want again, by the square root of the load (a
Poisson process of mean n has the standard deviation √n). A larger drop is the end of a burst: those machines go.
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

DEVIATIONS = 0.5
"""Standard deviations of the load that are kept as headroom. Dask spreads tasks over all machines, which leaves free
threads besides: more than this costs more than it saves in waiting (bench/AUTOSCALING.md)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the policy looks at.

    Attributes:
        now: seconds since the epoch.
        active: machines that take, or will take, work.
        target: the scheduler's `adaptive_target`; None when it gave no answer.
        dask_workers: Dask workers at the scheduler.
        busy_workers: those of them that have a task.
        others: Dask workers in a growing target that are not this fleet's to provide.
        running: threads of active machines that tasks hold, at most all of each worker.
        backlog: what waits in Redis; None when that is not known.
    """

    now: float
    active: int
    target: int | None
    dask_workers: int
    busy_workers: int
    others: int
    running: int
    backlog: Backlog | None


@dataclass(frozen=True, slots=True)
class Need:
    """Machines that the work needed at one time."""

    at: float
    machines: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What the policy remembers from round to round; losing it keeps machines for one window longer."""

    needs: tuple[Need, ...] = ()


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
    need = min(max(work, settings.workers_min), settings.workers_max)
    memory = remember(memory, load, need, settings)
    kept = keep(memory.needs, load.now, settings, machine)
    desired = min(kept, max(settings.workers_min, load.active + settings.scale_up_step))
    reason = f"work needs {work} ({for_dask} for Dask, {for_backlog} for the queue in Redis)"
    if work > settings.workers_max:
        reason += f", the maximum is {settings.workers_max}"
    elif work < settings.workers_min:
        reason += f", the minimum is {settings.workers_min}"
    if desired > need:
        reason += f"; {desired - need} more were needed a moment ago"
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


def remember(memory: Memory, load: Load, need: int, settings: PolicySettings) -> Memory:
    """Add this round's need and forget what is older than both windows."""
    # Without a past, what runs was needed by somebody who knew better.
    needs = memory.needs or (Need(load.now, min(load.active, settings.workers_max)),)
    oldest = load.now - max(settings.stabilization_window, settings.fluctuation_window)
    return replace(memory, needs=(*(each for each in needs if each.at >= oldest), Need(load.now, need)))


def keep(needs: Sequence[Need], now: float, settings: PolicySettings, machine: MachineSettings) -> int:
    """Machines to keep: all that were needed lately, and headroom for fluctuation out of those needed before that."""
    lately = max(each.machines for each in needs if each.at >= now - settings.stabilization_window)
    before = max(each.machines for each in needs)
    threads = machine.worker_processes * machine.worker_threads
    headroom = math.ceil(DEVIATIONS * math.sqrt(lately * threads) / threads)
    return max(lately, min(before, lately + headroom))
