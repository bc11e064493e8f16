"""What the dispatcher decides, as pure functions over what it sees: the cluster's workers and the queues' depth."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.compute.errors import TidegateError
from services.compute.models import Priority
from services.compute.store.types import Bundle, Depth, Taken

TICK_S = 1.0
"""Pause of an idle dispatcher, and how late a task of the delayed set may be."""
RETURNS_S = 0.25
"""Pause while tasks are in Dask or delayed: workers give some back, and nobody wakes the dispatcher for these."""
BOUND_S = 0.05
"""Pause while the bound of tasks in Dask is reached."""
PROBE_S = 0.01
"""Pause while the first durations of a computation are being measured."""
GATHER_S = 0.005
"""Least time between two takes while all threads have work: what arrives meanwhile makes larger bundles."""
GRAPH_MAX = 100
"""Bundles that travel to the scheduler as one graph; it does nothing else while it takes one in (0.4 ms a bundle)."""

_PRIORITIES = {Priority.INTERACTIVE: 0, Priority.BATCH: -10}
"""Dask's priorities. What a running task submits has 0 too: the fan-out of a batch task overtakes its batch."""

_WORKING = frozenset({"running", "paused"})


class SchedulerUnavailable(TidegateError):
    """The scheduler is away, gives no answer in time, or was replaced while it was asked."""


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a scheduler says about some keys.

    Attributes:
        scheduler: id of the scheduler that answered.
        states: Dask's state by key; None for a key that it does not know (any more).
    """

    scheduler: str
    states: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker process, as the scheduler knows it.

    Attributes:
        address: its Dask address.
        name: its name.
        threads: tasks that it runs at once.
        status: Dask's word: `running`, `paused`, `closing_gracefully`, …
        run: id of this start of the process; empty for a Dask worker that is none of ours.
        versions: version of each computation that it holds.
    """

    address: str
    name: str
    threads: int
    status: str
    run: str
    versions: Mapping[str, str]

    @property
    def working(self) -> bool:
        """Whether it takes new bundles."""
        return self.status in _WORKING and bool(self.run)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The scheduler and its workers at one moment.

    Attributes:
        scheduler: the scheduler's id, another one after each of its starts.
        address: where it was reached.
        workers: all that have joined it.
        threads: threads of those that take new bundles.
        runs: ids of all worker processes that have joined.
        versions: versions that take new bundles, by computation.
    """

    scheduler: str
    address: str
    workers: tuple[WorkerView, ...]
    threads: int = field(init=False)
    runs: frozenset[str] = field(init=False)
    versions: Mapping[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        held: dict[str, set[str]] = {}
        for worker in self.workers:
            for name, version in worker.versions.items() if worker.working else ():
                held.setdefault(name, set()).add(version)
        object.__setattr__(self, "threads", sum(worker.threads for worker in self.workers if worker.working))
        object.__setattr__(self, "runs", frozenset(worker.run for worker in self.workers if worker.run))
        object.__setattr__(self, "versions", {name: frozenset(versions) for name, versions in held.items()})

    def holders(self, computation: str, version: str) -> tuple[str, ...] | None:
        """Addresses of the workers that can run this; None when all can, so that nobody need be named."""
        open_to_tasks = [worker for worker in self.workers if worker.status in _WORKING]
        able = tuple(w.address for w in open_to_tasks if w.working and w.versions.get(computation) == version)
        return None if len(able) == len(open_to_tasks) else able


def snapshot_of(identity: Mapping[str, Any], address: str) -> Snapshot:
    """Read the scheduler's answer to `identity`; what a foreign worker announces is ignored, never an error."""
    workers = identity.get("workers") or {}
    return Snapshot(
        str(identity["id"]), address, tuple(_worker(where, about) for where, about in workers.items() if about)
    )


def _worker(address: str, about: Mapping[str, Any]) -> WorkerView:
    announced = about.get("tidegate")
    announced = announced if isinstance(announced, Mapping) else {}
    versions = announced.get("versions")
    return WorkerView(
        address=address,
        name=str(about.get("name", address)),
        threads=int(about.get("nthreads") or 0),
        status=str(about.get("status", "")),
        run=str(announced.get("run") or ""),
        versions=dict(versions) if isinstance(versions, Mapping) else {},
    )


@dataclass(frozen=True, slots=True)
class Graph:
    """Bundles that the scheduler gets as one graph.

    Attributes:
        bundles: at most `GRAPH_MAX`, in order.
        priority: Dask's priority of all of them.
        workers: addresses of those that can run them; None for all.
    """

    bundles: tuple[Bundle, ...]
    priority: int
    workers: tuple[str, ...] | None


def graphs(bundles: Sequence[Bundle], snapshot: Snapshot) -> Iterator[Graph]:
    """Group bundles into as few graphs as their priorities and workers allow, the urgent ones first."""
    groups: dict[tuple[int, tuple[str, ...] | None], list[Bundle]] = {}
    for bundle in bundles:
        workers = snapshot.holders(bundle.computation, bundle.version)
        groups.setdefault((_PRIORITIES[bundle.priority], workers or None), []).append(bundle)
    for (priority, workers), members in sorted(groups.items(), key=lambda group: -group[0][0]):
        for begin in range(0, len(members), GRAPH_MAX):
            yield Graph(tuple(members[begin : begin + GRAPH_MAX]), priority, workers)


def spread(threads: int, flight: int, bundle_max: int) -> int:
    """Over how many threads a take should spread what it pops: all, unless all have plenty of work already."""
    return 1 if flight >= threads * bundle_max else max(1, threads)


def pause_after(taken: Taken, bound: int) -> float:
    """Seconds until the next take, when nobody wakes the dispatcher before."""
    depth = taken.depth
    if taken.paced:
        return PROBE_S
    if depth.interactive + depth.batch:
        return BOUND_S if depth.flight >= bound else 0.0
    return RETURNS_S if depth.flight or depth.delayed else TICK_S


def gather_for(depth: Depth, threads: int) -> float:
    """Seconds that the next take should keep from this one even when there is work for it."""
    return GATHER_S if depth.flight >= 4 * threads else 0.0


def backoff(tries: int, base: float = 0.1, most: float = 5.0) -> float:
    """Seconds to pause after so many failures in a row (from 1 on): exponential, with jitter."""
    return min(most, base * 2.0 ** min(tries - 1, 30)) * random.uniform(0.5, 1.5)  # noqa: S311


def tasks_in(bundles: Iterable[Bundle]) -> int:
    """How many tasks these bundles have."""
    return sum(len(bundle.task_ids) for bundle in bundles)
