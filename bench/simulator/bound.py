"""A clairvoyant lower bound on cost, as a linear programme; scipy solves it (not a dependency of the project).

It bounds every schedule that knows all arrivals, starts at most 5 % of the tasks later than `wait` seconds after they
came, and pays what Fargate bills. Each real schedule gives a feasible point of the programme that costs no more, so
the optimum is a lower bound:

- Time is cut into slots of Δ seconds. `s` are starts of tasks in a slot, per class of duration, real numbers. A task
  of D slots takes all of the D-1 slots after its first, and one more slot's length split between its first and its
  (D+1)th in any way (`p`); what its duration has beyond whole slots (at most Δ) is work that may be done at any time.
- `m` is the mean number of machines at the scheduler in a slot: threads × Δ × m is at least the work in it.
- `u` are machines that join in a slot: m can grow from one slot to the next by the joins of the two at most.
- A machine that joined is billed for its start: at least the shortest latency's part after the pull, and its imports
  (18 s). One minute is billed at least: 42 s more are paid in any case, so it may as well be there so long.
- No machine can be there before the shortest start after the trace's beginning.
- Spot's price throughout; nothing is reclaimed; machines come in fractions.

Slots are at most 900, so tasks of a day's trace are shorter than one: there the bound is what the work itself costs.
The same holds where the programme is not solved in time. For few tasks on one machine (trickle) fractions would make
the bound worthless (half of a machine with two threads does all the work), so `_lives` cuts the tasks into lives of
whole machines instead: a life that serves tasks from the i-th to the j-th lasts for at least the time between their
arrivals less `wait`, the last one's run and a start. Lives that cross can be uncrossed at no cost, so consecutive tasks
suffice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from bench.simulator.settings import Settings
from bench.simulator.traces import Trace

LATE_SHARE = 0.05
CLASSES = 5
SLOTS = 900
FEW = 500
SOLVE_S = 90.0


@dataclass
class _Programme:
    """Rows and columns, gathered one by one."""

    costs: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def variables(self, count: int, cost: float = 0.0, upper: float = math.inf) -> range:
        """Add variables from 0 up."""
        begin = len(self.costs)
        self.costs += [cost] * count
        self.upper += [upper] * count
        return range(begin, begin + count)

    def row(self, terms: list[tuple[int, float]], low: float = -math.inf, high: float = math.inf) -> None:
        """Add a constraint on a sum."""
        for column, value in terms:
            self.rows.append(len(self.low))
            self.columns.append(column)
            self.values.append(value)
        self.low.append(low)
        self.high.append(high)

    def solve(self) -> float | None:
        """The least cost; None when it is not found in time."""
        import numpy as np

        optimize: Any = import_module("scipy.optimize")
        sparse: Any = import_module("scipy.sparse")
        matrix = sparse.csr_matrix((self.values, (self.rows, self.columns)), shape=(len(self.low), len(self.costs)))
        answer = optimize.milp(
            np.array(self.costs),
            bounds=optimize.Bounds(0, np.array(self.upper)),
            constraints=optimize.LinearConstraint(matrix, self.low, self.high),
            options={"time_limit": SOLVE_S},
        )
        return float(answer.fun) if answer.status == 0 else None


def bound(trace: Trace, settings: Settings, wait: float, makespan: float) -> float:
    """Dollars that every schedule costs whose 95th percentile of waiting is at most `wait` seconds."""
    work = sum(duration for _, duration in trace.arrivals) / settings.cloud.threads
    if len(trace.arrivals) <= FEW:
        seconds: float | None = _lives(trace, settings, wait)
    else:
        seconds = _formulate(trace, settings, wait, makespan).solve()
    return max(work, seconds or 0.0) * settings.prices.spot


def _started(settings: Settings) -> float:
    """Seconds on the bill before a machine takes its first task, at least."""
    return settings.cloud.start_low * (1 - settings.cloud.pull_share) + settings.cloud.imports


def _lives(trace: Trace, settings: Settings, wait: float) -> float:
    """Machine-seconds of the cheapest cut of the tasks into machines' lives; late tasks cost nothing."""
    minimum, started = settings.cloud.minimum_bill, _started(settings)
    spare = int(LATE_SHARE * len(trace.arrivals)) + 1
    best = [[0.0] * (spare + 1)]
    for j, (at, duration) in enumerate(trace.arrivals):
        row = []
        for left in range(spare + 1):
            least = best[j][left - 1] if left else math.inf
            for i in range(j, -1, -1):
                life = max(minimum, started + max(0.0, at - trace.arrivals[i][0] - wait) + duration)
                least = min(least, best[i][left] + life)
                if life > 20 * minimum:
                    break
            row.append(least)
        best.append(row)
    return min(best[-1])


def _formulate(trace: Trace, settings: Settings, wait: float, makespan: float) -> _Programme:
    slot = max(4.0, math.ceil(trace.length / SLOTS))
    slots = math.ceil(makespan / slot) + 1
    cloud, started = settings.cloud, _started(settings)
    programme = _Programme()
    there = programme.variables(slots, slot, cloud.maximum)
    joins = programme.variables(slots, started)
    use, remainder = _work(programme, trace, slot, slots, wait)
    loose = programme.variables(slots)
    programme.row([(column, 1.0) for column in loose], low=remainder)
    first = (cloud.start_low + cloud.imports) / slot
    stay = int((cloud.minimum_bill - started) / slot) - 1
    for t in range(slots):
        programme.row([*use[t], (loose[t], 1.0), (there[t], -cloud.threads * slot)], high=0.0)
        if t + 1 <= first:
            programme.upper[joins[t]] = 0.0
        before = [(there[t - 1], -1.0), (joins[t - 1], -1.0)] if t else []
        programme.row([(there[t], 1.0), (joins[t], -1.0), *before], high=0.0)
        if recent := [(joins[k], 1.0) for k in range(max(0, t - stay), t)]:
            programme.row([*recent, (there[t], -1.0)], high=0.0)
    return programme


def _work(
    programme: _Programme, trace: Trace, slot: float, slots: int, wait: float
) -> tuple[list[list[tuple[int, float]]], float]:
    """Starts of all classes: what they take of each slot, and the work that may be done at any time."""
    use: list[list[tuple[int, float]]] = [[] for _ in range(slots)]
    remainder = 0.0
    late: list[int] = []
    for length, arrivals in _classes(trace, slot).items():
        if length == 0:
            remainder += sum(duration for _, duration in arrivals)
            continue
        remainder += sum(duration - length * slot for _, duration in arrivals)
        starts, split = programme.variables(slots), programme.variables(slots)
        missed = programme.variables(1)[0]
        late.append(missed)
        sums = programme.variables(slots)
        come, due = [0] * slots, [0] * slots
        for at, _ in arrivals:
            come[int(at / slot)] += 1
            due[min(slots - 1, int((at + wait) / slot))] += 1
        came = must = 0
        for t in range(slots):
            came, must = came + come[t], must + due[t]
            before = [(sums[t - 1], -1.0)] if t else []
            programme.row([(sums[t], 1.0), (starts[t], -1.0), *before], low=0.0, high=0.0)
            programme.row([(sums[t], 1.0)], high=came)
            programme.row([(sums[t], 1.0), (missed, 1.0)], low=must)
            programme.row([(split[t], 1.0), (starts[t], -1.0)], high=0.0)
            _take(use, starts[t], split[t], t, length, slot)
        programme.row([(sums[slots - 1], 1.0)], low=len(arrivals))
    if late:
        programme.row([(column, 1.0) for column in late], high=LATE_SHARE * len(trace.arrivals) + 1)
    return use, remainder


def _take(use: list[list[tuple[int, float]]], start: int, split: int, t: int, length: int, slot: float) -> None:
    """What tasks of a class that start in slot `t` take of it and of later ones."""
    last = len(use) - 1
    use[t].append((split, slot))
    for k in range(t + 1, t + length):
        use[min(k, last)].append((start, slot))
    end = use[min(t + length, last)]
    end.append((start, slot))
    end.append((split, -slot))


def _classes(trace: Trace, slot: float) -> dict[int, list[tuple[float, float]]]:
    """Tasks by whole slots of their duration, rounded down to at most some classes."""
    lengths = sorted(int(duration / slot) for _, duration in trace.arrivals)
    edges = sorted({0, *(lengths[len(lengths) * k // CLASSES] for k in range(CLASSES)), lengths[-1] // 2})
    classes: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for at, duration in trace.arrivals:
        classes[max(edge for edge in edges if edge <= duration / slot)].append((at, duration))
    return dict(classes)
