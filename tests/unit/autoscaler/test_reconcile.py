from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.autoscaler.model import Capacity, Member, Phase
from services.autoscaler.reconcile import Plan, reconcile, room
from tests.unit.autoscaler.worlds import NOW, member, settings, worker


def plan(desired: int, *members: Member, revision: str = "1", base: int = 0, **changes: object) -> Plan:
    return reconcile(desired, members, settings(**changes), revision, NOW, base)


def test_what_is_missing_is_started() -> None:
    assert plan(3).launch == 3
    assert plan(3, member("a"), member("b", None, phase=Phase.STARTING)).launch == 1
    assert plan(2, member("a"), member("b")) == Plan()


def test_no_round_starts_more_than_a_step() -> None:
    assert plan(20, scale_up_step=3, workers_min=20).launch == 3
    assert plan(20, *[member(f"m{n}") for n in range(18)], scale_up_step=3).launch == 2
    assert plan(9, *[member(f"old{n}", 1) for n in range(9)], revision="2", scale_up_step=4).launch == 4


def test_room_for_more_machines() -> None:
    three = [member("a"), member("b", 1, retiring=True), member("c", None)]
    own = settings(workers_max=4, rollout_surge=2)
    assert (room(three, own, surge=False), room(three, own, surge=True)) == (1, 3)
    assert room([*three, member("gone", phase=Phase.STOPPING)], own, surge=False) == 1
    assert room([member(f"m{n}") for n in range(9)], own, surge=True) == 0


def test_machines_that_leave_are_replaced_within_the_maximum() -> None:
    leaving = [member("a", 1, retiring=True), member("b", 1, phase=Phase.STOPPING)]
    assert plan(2, *leaving, workers_max=2).launch == 1, "the retiring one still counts, the reclaimed one does not"
    assert plan(2, *leaving, workers_max=10).launch == 2


def test_only_idle_machines_are_retired() -> None:
    made = plan(1, member("busy", 1), member("idle"), member("joining", None))
    assert made.retire == ("idle",)
    assert plan(0, member("busy", 1)).retire == ()


@pytest.mark.parametrize(
    "young",
    [
        pytest.param({"billed_from": NOW - 59, "created_at": NOW - 90}, id="minimum bill"),
        pytest.param({"billed_from": None, "created_at": NOW - 59}, id="minimum bill, not pulled yet"),
        pytest.param({"joined_for": 14.0}, id="just joined"),
        pytest.param({"phase": Phase.STOPPING}, id="leaves already"),
        pytest.param({"retiring": True}, id="retired already"),
    ],
)
def test_machines_that_may_not_go_yet(young: dict[str, Any]) -> None:
    assert plan(0, member("young", **young)).retire == ()


def test_the_dearest_goes_first_then_the_emptiest() -> None:
    spot, dear, full = member("spot"), member("dear", capacity=Capacity.ON_DEMAND), member("full")
    assert plan(2, spot, dear, full).retire == ("dear",)
    assert plan(2, spot, dear, full, base=1).retire == ("full",) or plan(2, spot, dear, full, base=1).retire == (
        "spot",
    )
    assert "dear" not in plan(1, spot, dear, full, base=1).retire


def test_the_on_demand_base_goes_when_spot_machines_are_busy_with_all_there_is() -> None:
    busy = [member("a", 1), member("b", 1)]
    base = [member(name, capacity=Capacity.ON_DEMAND) for name in ("c", "d")]
    assert set(plan(2, *busy, *base, base=2).retire) == {"c", "d"}
    assert len(plan(3, *busy, *base, base=2).retire) == 1
    assert plan(2, *busy, *base, member("idle"), base=2, workers_max=5).retire[0] == "idle", "Spot before the base"


def told(name: str, running: int = 0, *, leaving: bool = True) -> Member:
    """A machine that is retired by note, whose worker has heard of it or not."""
    return member(name, running, retiring=True)._replace(workers=(worker(name, running, leaving=leaving),))


def test_retired_machines_are_stopped_once_nothing_runs_on_them() -> None:
    made = plan(1, member("a"), told("done"), told("at-work", 1), told("never-told", leaving=False))
    assert [stop.machine for stop in made.stop] == ["done"]
    away = member("away", None, retiring=True, absent_for=29.0)
    assert plan(0, away).stop == (), "it may be joining another scheduler with what it runs"
    assert [stop.machine for stop in plan(0, away._replace(absent_for=31.0)).stop] == ["away"]
    assert plan(0, member("stopping", retiring=True, phase=Phase.STOPPING)).stop == ()


def test_the_on_demand_base_goes_with_the_last_work() -> None:
    idle = [member(f"m{n}", capacity=Capacity.ON_DEMAND) for n in range(3)]
    assert len(plan(0, *idle, base=2).retire) == 3
    assert len(plan(1, *idle, base=2).retire) == 2


def test_what_never_joins_is_stopped_and_replaced() -> None:
    made = plan(2, member("a"), member("lost", None, absent_for=301.0))
    assert [stop.machine for stop in made.stop] == ["lost"]
    assert "300 s" in made.stop[0].reason
    assert made.launch == 1
    assert plan(2, member("a"), member("late", None, absent_for=299.0)) == Plan()


def test_new_code_starts_before_old_code_leaves() -> None:
    old = [member(f"old{n}", n % 2) for n in range(4)]
    first = plan(4, *old, revision="2")
    assert (first.launch, first.retire) == (4, ())
    starting = [member(f"new{n}", None, revision="2", phase=Phase.STARTING) for n in range(4)]
    assert plan(4, *old, *starting, revision="2") == Plan()
    arrived = [member(f"new{n}", 0 if n < 3 else None, revision="2") for n in range(4)]
    second = plan(4, *old, *arrived, revision="2")
    assert second.launch == 0
    assert set(second.retire) == {"old0", "old2", "old1"}, "the idle ones first"
    all_here = [member(f"new{n}", 1, revision="2") for n in range(4)]
    assert set(plan(4, *old, *all_here, revision="2").retire) == {"old0", "old1", "old2", "old3"}


def test_machines_with_old_code_that_are_still_starting_are_no_work_force() -> None:
    joined = [member("a", 1), member("b", 1)]
    starting = [member(f"s{n}", None, phase=Phase.STARTING) for n in range(10)]
    assert plan(2, *joined, *starting, revision="2").retire == ()


def test_busy_machines_with_old_code_wait_for_others_to_come() -> None:
    old = [member(f"old{n}", 1) for n in range(10)]
    assert plan(2, *old, revision="2").retire == ()
    assert len(plan(2, *old, member("new", 0, revision="2"), revision="2").retire) == 1
    young = [member(f"old{n}", 0, created_at=NOW - 10, billed_from=NOW - 10) for n in range(2)]
    assert plan(0, *young, revision="2").retire == (), "its first minute is paid for"


def test_a_rollout_at_the_maximum_goes_in_steps_beyond_it() -> None:
    old = [member(f"old{n}", 1) for n in range(5)]
    assert plan(5, *old, revision="2", workers_max=5, rollout_surge=2).launch == 2
    new = [member(f"new{n}", 1, revision="2") for n in range(2)]
    made = plan(5, *old, *new, revision="2", workers_max=5, rollout_surge=2)
    assert (made.launch, len(made.retire)) == (0, 2)


def test_old_code_goes_at_once_when_nothing_is_wanted() -> None:
    assert plan(0, member("old"), revision="2").retire == ("old",)


def test_the_plan_says_what_it_does() -> None:
    assert plan(1).reason == "start 1"
    assert plan(0, member("a")).reason == "retire 1"
    assert plan(1).reason == "start 1"
    assert plan(0).reason == ""


members = st.lists(
    st.builds(
        lambda name, running, phase, revision, capacity, retiring, age, joined: member(
            f"m{name}",
            running,
            phase=phase,
            revision=revision,
            capacity=capacity,
            retiring=retiring,
            created_at=NOW - age,
            billed_from=NOW - age,
            joined_for=joined if running is not None else 0.0,
            absent_for=age if running is None else 0.0,
        ),
        st.integers(0, 10_000),
        st.one_of(st.none(), st.integers(0, 2)),
        st.sampled_from(Phase),
        st.sampled_from(["1", "2"]),
        st.sampled_from(Capacity),
        st.booleans(),
        st.floats(0, 1000),
        st.floats(0, 1000),
    ),
    max_size=30,
    unique_by=lambda m: m.machine.id,
)


@given(members=members, desired=st.integers(0, 20), surge=st.integers(1, 5), base=st.integers(0, 3))
def test_rules_that_hold_for_every_fleet(members: list[Member], desired: int, surge: int, base: int) -> None:
    own = settings(workers_max=20, rollout_surge=surge)
    made = reconcile(desired, members, own, "2", NOW, base)
    known = {each.machine.id: each for each in members}
    outdated = {each.machine.id for each in members if each.active and each.machine.revision != "2"}
    there = sum(each.machine.phase is not Phase.STOPPING for each in members)
    assert there + made.launch <= max(there, 20 + (surge if outdated else 0)), "never above the maximum"
    assert not {m for m in made.retire if known[m].busy} - outdated, "never retires a busy worker for being too many"
    for stop in made.stop:
        each = known[stop.machine]
        assert not each.busy
        assert each.absent_for > 30.0 or (each.retiring and all(w.leaving for w in each.workers))
    assert len(set(made.retire)) == len(made.retire)
    assert not {m for m in made.retire if not known[m].active or not known[m].joined}
    # Never fewer than the work needs: what is left and joined, of what there was.
    joined = sum(each.active and each.joined for each in members)
    left = joined - len(made.retire)
    assert left >= min(desired, joined)
    assert not (made.launch and set(made.retire) - outdated), "never starts and retires for the count at once"
