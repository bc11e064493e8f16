"""The simulator's own parts: Dask's model, billing, both sides on a small burst."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.simulator.bound import _lives, bound
from bench.simulator.dask import Dask
from bench.simulator.run import Outcome, simulate
from bench.simulator.settings import Cloud, Settings
from bench.simulator.traces import TRACES, Storm, Trace, make

BURST = Trace("burst", 3.0, ((3.0, 20.0),) * 40)


class Time:
    """A clock, and events in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, object, tuple[object, ...]]] = []

    def at(self, when: float, happen: object, *arguments: object) -> None:
        self.events.append((when, len(self.events), happen, arguments))

    def until(self, end: float) -> None:
        while due := sorted(event for event in self.events if event[0] <= end):
            self.now, _, happen, arguments = due[0]
            self.events.remove(due[0])
            assert callable(happen)
            happen(*arguments)
        self.now = end


def dask() -> tuple[Dask, Time, list[str]]:
    time, emptied = Time(), list[str]()
    return Dask(lambda: time.now, time.at, emptied.append), time, emptied


def test_the_target_counts_threads_without_workers_and_workers_with_some() -> None:
    scheduler, time, _ = dask()
    for _ in range(100):
        scheduler.submit(20.0)
    assert scheduler.adaptive_target(5.0) == 10, "100 unknown tasks of 0.5 s in 5 s"
    scheduler.join("a", 2)
    time.until(20.0)
    assert scheduler.prefix.duration_average == 20.0
    assert scheduler.adaptive_target(5.0) == 49, "a thread for each of 98 tasks, two a worker"


def test_busy_workers_are_kept_and_idle_ones_are_not() -> None:
    scheduler, time, _ = dask()
    for name in "abcd":
        scheduler.join(name, 2)
    scheduler.submit(20.0)
    time.until(1.0)
    assert scheduler.adaptive_target(5.0) == 1


def test_tasks_go_to_the_least_busy_worker() -> None:
    scheduler, _, _ = dask()
    for name in "abc":
        scheduler.join(name, 2)
    for _ in range(6):
        scheduler.submit(20.0)
    assert [len(worker.running) for worker in scheduler.workers.values()] == [2, 2, 2]


def test_a_worker_that_leaves_finishes_and_one_that_is_gone_gives_its_tasks_back() -> None:
    scheduler, time, emptied = dask()
    scheduler.join("a", 1)
    task = scheduler.submit(20.0)
    assert not scheduler.leave("a")
    other = scheduler.submit(20.0)
    time.until(20.0)
    assert (task.ended, emptied) == (20.0, ["a"])
    scheduler.join("b", 1)
    time.until(30.0)
    scheduler.gone("b")
    scheduler.join("c", 1)
    time.until(60.0)
    assert (other.runs, other.started, other.ended, scheduler.lost) == (2, 30.0, 50.0, 10.0)


def run(side: str, trace: Trace = BURST) -> Outcome:
    return simulate(trace, side, Settings(cloud=Cloud(maximum=10)), 1)


@pytest.mark.parametrize("side", ["tidegate", "adaptive", "adaptive-core", "fixed"])
def test_all_sides_do_all_tasks_and_let_their_machines_go(side: str) -> None:
    outcome = run(side)
    assert outcome.reruns == 0
    assert outcome.machines == 10
    assert outcome.samples[-1][2] <= 10
    assert outcome.cost >= 10 * 60 * Settings().prices.spot


def test_a_drained_worker_repeats_nothing_and_a_stock_one_does() -> None:
    storm = replace(BURST, arrivals=((3.0, 20.0),) * 100, storm=Storm(70.0, 1.0, 5.0))
    assert run("tidegate", storm).reruns == 0
    assert run("adaptive", storm).reruns > 0


def test_the_bound_of_one_task_is_one_minimum_bill() -> None:
    one = Trace("one", 3.0, ((3.0, 5.0),) * 30)
    assert _lives(one, Settings(), 60.0) == 60.0
    assert bound(one, Settings(), 60.0, 100.0) == pytest.approx(75.0 * Settings().prices.spot)


@pytest.mark.parametrize("name", [name for name in TRACES if name != "diurnal"])
def test_traces_come_from_their_seed(name: str) -> None:
    settings = Settings().traces
    assert make(name, settings, 1) == make(name, settings, 1) != make(name, settings, 2)
    times = [at for at, _ in make(name, settings, 1).arrivals]
    assert times == sorted(times)
