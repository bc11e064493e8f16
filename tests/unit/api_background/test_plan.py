"""What the dispatcher makes of what it sees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import plan
from services.api.plan import Snapshot, WorkerView, backoff, graphs, pause_after, snapshot_of, spread
from services.compute.models import Priority
from services.compute.store.types import Bundle, Depth, Taken


def worker(name: str, version: str = "v1", *, status: str = "running", run: str | None = None) -> WorkerView:
    return WorkerView(f"tcp://{name}", name, 2, status, name if run is None else run, {"f": version})


def bundle(number: int, priority: Priority = Priority.BATCH, version: str = "v1") -> Bundle:
    return Bundle(f"f-0000-{number}", "f", version, priority, (f"f-{number}",))


def test_a_snapshot_of_what_a_scheduler_says() -> None:
    announced = {"versions": {"f": "v1"}, "run": "r1", "machine": "m"}
    workers: dict[str, Any] = {
        "tcp://a": {"name": "a-0", "nthreads": 2, "status": "running", "tidegate": announced},
        "tcp://b": {"name": 3, "nthreads": 4, "status": "closing_gracefully", "tidegate": {**announced, "run": "r2"}},
        "tcp://c": {"name": "foreign", "nthreads": 8, "status": "running"},
        "tcp://d": {"name": "strange", "nthreads": 8, "status": "running", "tidegate": {"versions": 7, "run": None}},
    }
    seen = snapshot_of({"id": "S", "workers": workers}, "tcp://s")
    assert (seen.scheduler, seen.address, seen.threads) == ("S", "tcp://s", 2)
    assert seen.runs == {"r1", "r2"}, "one that drains still runs what it has begun"
    assert seen.versions == {"f": frozenset({"v1"})}
    assert seen.holders("f", "v1") == ("tcp://a",), "a worker of somebody else's cannot run it"


@pytest.mark.parametrize(
    ("workers", "version", "expected"),
    [
        ([worker("a"), worker("b")], "v1", None),
        ([worker("a"), worker("b", "v2")], "v1", ("tcp://a",)),
        ([worker("a"), worker("b", "v2")], "v2", ("tcp://b",)),
        ([worker("a"), worker("b", "v2", status="closing_gracefully")], "v1", None),
        ([worker("a", "v2")], "v1", ()),
        ([worker("a", status="paused"), worker("b")], "v1", None),
    ],
)
def test_workers_are_named_only_while_some_cannot_run_it(
    workers: list[WorkerView], version: str, expected: tuple[str, ...] | None
) -> None:
    assert Snapshot("S", "tcp://s", tuple(workers)).holders("f", version) == expected


def test_graphs_are_few_small_and_the_urgent_ones_first() -> None:
    seen = Snapshot("S", "tcp://s", (worker("a"), worker("b", "v2")))
    bundles = [bundle(n) for n in range(plan.GRAPH_MAX + 1)]
    bundles += [bundle(1000, Priority.INTERACTIVE), bundle(1001, version="v2"), bundle(1002, version="nobody's")]
    made = list(graphs(bundles, seen))
    assert [(len(graph.bundles), graph.workers) for graph in made] == [
        (1, ("tcp://a",)),
        (plan.GRAPH_MAX, ("tcp://a",)),
        (1, ("tcp://a",)),
        (1, ("tcp://b",)),
        (1, None),
    ]
    assert made[0].priority > made[1].priority
    assert sorted(b.dispatch for graph in made for b in graph.bundles) == sorted(b.dispatch for b in bundles)


@pytest.mark.parametrize(
    ("depth", "paced", "expected"),
    [
        (Depth(0, 0, 0, 0), False, plan.TICK_S),
        (Depth(0, 0, 1, 0), False, plan.RETURNS_S),
        (Depth(0, 0, 0, 1), False, plan.RETURNS_S),
        (Depth(0, 5, 0, 99), False, 0.0),
        (Depth(1, 0, 0, 100), False, plan.BOUND_S),
        (Depth(1, 0, 0, 1), True, plan.PROBE_S),
    ],
)
def test_pauses(depth: Depth, paced: bool, expected: float) -> None:
    assert pause_after(Taken((), depth, (), paced), 100) == expected


def test_bundles_are_spread_over_all_threads_until_all_have_plenty() -> None:
    assert spread(8, 0, 500) == 8
    assert spread(8, 3999, 500) == 8
    assert spread(8, 4000, 500) == 1
    assert spread(0, 0, 500) == 1


@given(st.integers(1, 10_000), st.floats(0.01, 2), st.floats(2, 60))
def test_backoff_is_bounded_and_jittered(tries: int, base: float, most: float) -> None:
    assert 0.5 * min(base, most) <= backoff(tries, base, most) <= 1.5 * most
