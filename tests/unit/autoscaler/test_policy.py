from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.autoscaler.policy import SETTLE_S, Decision, Load, Memory, decide, restless
from services.compute.store.types import Backlog, Depth
from tests.unit.autoscaler.worlds import NOW, backlog, settings


def load(
    active: int = 0,
    target: int | None = 0,
    *,
    now: float = NOW,
    work: Backlog | None = None,
    scheduler: str = "one",
    **more: int,
) -> Load:
    """A fleet of `active` machines, all of whose workers have a task as far as the target goes."""
    workers = more.get("dask_workers", active)
    busy = more.get("busy", min(target or 0, workers))
    running, others = more.get("running", busy), more.get("others", 0)
    return Load(now, active, scheduler, target, workers, busy, others, running, work or backlog())


def once(seen: Load, memory: Memory | None = None, **changes: object) -> Decision:
    own = settings(**changes)
    return decide(seen, memory or Memory(), own, own)[0]


@pytest.mark.parametrize(
    ("seen", "changes", "desired"),
    [
        pytest.param(load(), {}, 1, id="the minimum without work"),
        pytest.param(load(), {"workers_min": 0}, 0, id="nothing at minimum 0"),
        pytest.param(load(0, 7), {"worker_threads": 2}, 4, id="threads while there is no worker"),
        pytest.param(load(2, 7), {"worker_threads": 2}, 7, id="workers once there are some"),
        pytest.param(load(2, 7, dask_workers=8), {"worker_processes": 4}, 2, id="several workers a machine"),
        pytest.param(load(2, 7, others=3), {}, 4, id="what others provide"),
        pytest.param(load(8, 8, running=8), {"worker_threads": 2}, 8, id="what runs now stays a while"),
        pytest.param(load(1, 500), {}, 100, id="the maximum"),
        pytest.param(load(1, 500), {"scale_up_step": 10}, 11, id="a step"),
        pytest.param(load(0, 0), {"workers_min": 20, "scale_up_step": 5}, 20, id="the minimum at once"),
        pytest.param(load(work=backlog({"slow": 10}, slow=40_000)), {"workers_min": 0}, 10, id="queue: by duration"),
        pytest.param(load(work=backlog({"quick": 1000}, quick=100)), {"workers_min": 0}, 4, id="queue: short tasks"),
        pytest.param(load(work=backlog({"new": 3})), {"workers_min": 0}, 1, id="queue: unknown duration"),
        pytest.param(load(3, 2, work=backlog({"slow": 4}, slow=20_000)), {}, 6, id="Dask's and the queue's add up"),
        pytest.param(load(work=backlog(flight=1)), {"workers_min": 0}, 1, id="something is on its way"),
        pytest.param(load(work=backlog(delayed=1)), {"workers_min": 0}, 1, id="something comes again"),
    ],
)
def test_what_is_needed(seen: Load, changes: dict[str, Any], desired: int) -> None:
    assert once(seen, **changes).desired == desired


def test_no_answer_means_hold() -> None:
    decision = once(load(7, None))
    assert decision.desired is None
    assert "holding 7" in decision.reason
    assert "scheduler" in decision.reason
    unknown = Load(NOW, 7, "one", 3, 7, 3, 0, 3, None)
    assert once(unknown).desired is None


def test_the_reason_names_what_bounds_it() -> None:
    assert "the maximum is 100" in once(load(1, 500)).reason
    assert "the minimum is 1" in once(load()).reason
    assert "4 (4 for Dask, 0 for the queue in Redis)" in once(load(4, 4)).reason


def test_tasks_that_are_spread_thin_need_fewer_machines() -> None:
    """One task on each of eight machines with two threads: all are busy, half would do."""
    own, memory = settings(worker_threads=2, workers_min=0, fluctuation_window=0), Memory()
    for at in (0.0, 40.0):
        seen = load(8, 8, busy=8, running=8, now=NOW + at)
        decision, memory = decide(seen, memory, own, own)
    assert (decision.desired, decision.for_dask) == (4, 4)
    full, _ = decide(load(8, 8, busy=8, running=16), Memory(), own, own)
    assert full.for_dask == 8
    data, _ = decide(load(8, 5, busy=2, running=2), Memory(), own, own)
    assert data.for_dask == 1 + 3, "idle ones that hold results are kept"


def test_tasks_that_wait_on_a_worker_are_no_threads() -> None:
    assert once(load(5, 1, busy=1, running=1000)).for_dask == 1, "never more than Dask itself wants"


def follow(targets: list[tuple[float, int]], **changes: object) -> list[int]:
    """Decide over time, with as many machines as were decided before, under a scheduler that was met long ago."""
    own, memory, active, decided = settings(**changes), Memory(scheduler="one"), 0, []
    for at, target in targets:
        decision, memory = decide(load(active, target, now=NOW + at, dask_workers=max(active, 1)), memory, own, own)
        assert decision.desired is not None
        active = decision.desired
        decided.append(active)
    return decided


@pytest.mark.parametrize("window", [0, 10, 120, 300])
def test_fewer_only_after_the_window(window: int) -> None:
    decided = follow(wave(*[100] * 80, *[0] * 80), stabilization_window=window, workers_min=0)
    assert set(decided[80 : 80 + window // 5]) <= {100}
    assert set(decided[81 + window // 5 :]) == {0}


def wave(*levels: int, every: float = 5.0, begin: float = 0.0) -> list[tuple[float, int]]:
    """What work needs, round by round."""
    return [(begin + every * n, level) for n, level in enumerate(levels)]


def test_a_load_that_scatters_gets_its_mean_and_headroom_and_stays() -> None:
    # A load of mean 25 has a standard deviation of 5; 1.64 of them are 8.
    assert set(follow(wave(*[18, 25, 32, 25] * 30), workers_min=0)[61:]) == {33}
    # One that scatters less gets less: three of its own deviations.
    assert set(follow(wave(*[25, 26] * 60), workers_min=0)[61:]) <= {26, 27}


@pytest.mark.parametrize("constant", [1, 10, 90, 100, 140])
def test_a_load_that_does_not_scatter_gets_no_headroom(constant: int) -> None:
    assert set(follow(wave(*[constant] * 100), workers_min=0)) == {min(constant, 100)}


def test_the_minimum_is_no_load() -> None:
    assert set(follow(wave(*[0, 0, 1, 0, 0] * 20), workers_min=10)) == {10}


@pytest.mark.parametrize(("high", "low"), [(40, 30), (60, 45), (100, 80), (10, 5)])
def test_work_that_shrinks_starts_nothing_and_lets_go_after_a_minute(high: int, low: int) -> None:
    decided = follow(wave(*[high] * 80, *[low] * 80), workers_min=0)
    assert max(decided[80:]) <= high
    assert decided == sorted(decided, reverse=True)
    assert set(decided[80 + 14 :]) == {low}


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 4), (2, 4)])
def test_few_machines_are_started_at_once(low: int, high: int) -> None:
    assert follow(wave(*[low] * 80, high), workers_min=0)[-1] >= high


def test_a_small_random_load_is_not_left_alone_in_its_pauses() -> None:
    decided = follow(wave(*[1, 2, 0, 1, 0, 0, 1, 3, 0, 1] * 12), workers_min=0)
    assert min(decided[14:]) >= 2
    ended = follow(wave(*[1, 2, 0, 1, 0, 0, 1, 3, 0, 1] * 12, *[0] * 10), workers_min=0)[-10:]
    assert ended[0] > 0
    assert set(ended[6:]) == {0}


def test_a_slow_fall_is_followed() -> None:
    needs = [100] * 80 + [100 - n // 2 for n in range(180)]
    decided = follow(wave(*needs), workers_min=0)
    assert max(wanted - need for wanted, need in zip(decided, needs, strict=True)) <= 24


def test_a_change_is_followed_at_once_up_and_down() -> None:
    decided = follow(wave(*[25, 27, 23, 26] * 20, 80, 80, 20, 20, 0), workers_min=0)
    assert decided[80:] == [80, 80, 20, 20, 0]


def test_what_is_needed_for_a_whole_minute_is_met_though_it_is_no_change() -> None:
    decided = follow(wave(*[50] * 60, *[64] * 14), workers_min=0)
    assert decided[60] < 64
    assert decided[60 + 13] >= 64


def test_a_scheduler_that_is_new_is_taken_to_know_too_little_for_a_while() -> None:
    own = settings(workers_min=0)
    decision, memory = decide(load(40, 40, now=NOW), Memory(scheduler="one"), own, own)
    assert decision.desired == 40
    for at in (5.0, 20.0, 34.9):
        decision, memory = decide(load(40, 0, now=NOW + at, scheduler="two"), memory, own, own)
        assert decision.desired == 40
    assert "40 more for what recent rounds needed" in decision.reason
    assert decide(load(40, 0, now=NOW + 35.1, scheduler="two"), memory, own, own)[0].desired == 0
    more, _ = decide(load(40, 60, now=NOW + 20, scheduler="three", running=40), memory, own, own)
    assert more.desired == 60, "what it asks for is more than before"


@pytest.mark.parametrize("bill", [0, 20, 60])
def test_a_scheduler_that_is_new_is_met_after_a_long_hold_too(bill: float) -> None:
    own = settings(workers_min=0, minimum_bill=bill)
    _, memory = decide(load(40, 40), Memory(scheduler="one"), own, own)
    for pause in (0, 5, 25):
        decision, memory = decide(load(40, 3, now=NOW + 7200 + pause, scheduler="two"), memory, own, own)
        assert decision.desired == 40
    decision, memory = decide(load(40, 3, now=NOW + 7200 + 31, scheduler="two"), memory, own, own)
    assert decision.desired == 3


def test_nothing_falls_under_a_new_scheduler_even_after_a_round_without_need() -> None:
    own, memory = settings(workers_min=0), Memory(scheduler="one")
    for n, target in enumerate([2, 2, 0] * 30 + [2, 0]):
        decision, memory = decide(load(3, target, now=NOW + 5 * n), memory, own, own)
    before, now = decision.desired, NOW + 5 * 92
    assert before
    for pause in (0, 10, 29):
        decision, memory = decide(load(3, 0, now=now + pause, scheduler="two"), memory, own, own)
        assert decision.desired == before


def test_a_restart_keeps_what_runs_for_a_while() -> None:
    own = settings(workers_min=0)
    first, memory = decide(load(40, 0), Memory(), own, own)
    assert first.desired == 40
    later, _ = decide(load(40, 0, now=NOW + 31), memory, own, own)
    assert later.desired == 0


def test_unknown_tasks_are_taken_for_longer_the_longer_they_are_out() -> None:
    depth = Depth(0, 10, 0, 1)
    assert once(load(work=Backlog(depth, {"new": 10}, measuring={"new": 1000}))).for_backlog == 2
    assert once(load(work=Backlog(depth, {"new": 10}, measuring={"new": 20_000}))).for_backlog == 8


@pytest.mark.parametrize(
    ("before", "now", "restless_then"),
    [
        (Depth(0, 0, 0, 0), Depth(0, 0, 0, 0), False),
        (Depth(0, 0, 0, 0), Depth(1, 0, 0, 0), True),
        (Depth(0, 0, 0, 1), Depth(0, 0, 0, 0), True),
        (Depth(0, 50, 0, 50), Depth(0, 90, 0, 50), False),
        (Depth(0, 50, 0, 50), Depth(0, 110, 0, 50), True),
        (Depth(0, 50, 0, 50), Depth(0, 10, 0, 50), True),
    ],
)
def test_much_work_coming_or_going_brings_the_next_round_forward(
    before: Depth, now: Depth, restless_then: bool
) -> None:
    assert restless(before, now) is restless_then


machines = st.integers(0, 300)


@given(
    rounds=st.lists(st.tuples(st.floats(0.5, 60), machines, machines, machines, machines), min_size=1, max_size=20),
    bounds=st.tuples(st.integers(0, 50), st.integers(1, 200)),
    step=st.integers(1, 200),
    processes=st.integers(1, 4),
    threads=st.integers(1, 8),
)
def test_never_below_the_minimum_nor_above_the_maximum(
    rounds: list[tuple[float, int, int, int, int]], bounds: tuple[int, int], step: int, processes: int, threads: int
) -> None:
    low, high = min(bounds), max(bounds)
    own = settings(
        workers_min=low, workers_max=high, scale_up_step=step, worker_processes=processes, worker_threads=threads
    )
    memory, now = Memory(), NOW
    for pause, active, target, waiting, others in rounds:
        now += pause
        work = backlog({"some": waiting}, some=5_000)
        decision, memory = decide(load(active, target, now=now, work=work, others=others), memory, own, own)
        assert decision.desired is not None
        assert low <= decision.desired <= high


@given(demand=st.integers(0, 150), start=st.integers(0, 150), step=st.integers(1, 150), threads=st.integers(1, 4))
def test_constant_demand_is_met_in_bounded_rounds_and_stays_met(
    demand: int, start: int, step: int, threads: int
) -> None:
    own = settings(workers_max=100, workers_min=0, scale_up_step=step, worker_threads=threads, fluctuation_window=60)
    memory, active, decided = Memory(), min(start, 100), []
    # What was there at first is kept until the scheduler has settled, and counts in the mean until the window is over.
    rounds = int(SETTLE_S / 5) + 100 // step + 2 + int(max(own.fluctuation_window, own.stabilization_window) / 5) + 2
    for n in range(rounds + 20):
        # Dask's own answer: what the work needs, or what is not idle of more than that.
        target = demand * threads if active == 0 else demand
        running = min(demand, active) * threads
        seen = load(active, target, now=NOW + 5 * n, running=running)
        decision, memory = decide(seen, memory, own, own)
        assert decision.desired is not None
        active = decision.desired
        decided.append(active)
    assert set(decided[rounds:]) == {min(demand, 100)}
