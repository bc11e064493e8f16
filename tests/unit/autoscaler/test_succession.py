"""One autoscaler after another: what the first has begun, the next neither doubles nor forgets."""

from __future__ import annotations

import pytest

from services.autoscaler.act import LEASE_MS
from tests.fakes.ecs import NO_CAPACITY, Call
from tests.unit.autoscaler.test_controller import STEP, World

LEASE_S = LEASE_MS / 1000


def succeed(world: World, *, killed: bool) -> None:
    """Another process takes over: after the lease of one that was killed, at once from one that ended in order."""
    if killed:
        world.now += LEASE_S
        world.ecs.advance()
    else:
        world.controller.close()
    world.controller = world.start()


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("lag", [6.0, 12.0, 30.0])
def test_a_successor_knows_machines_that_no_listing_shows_yet(lag: float, rounds: int, killed: bool) -> None:
    world = World(workers_min=25)
    world.ecs.service.list_lag = lag
    world.rounds(rounds * STEP)
    for _ in range(3):
        succeed(world, killed=killed)
        assert world.round() is not None
    world.rounds(120)
    assert len(world.running) == len(world.ecs.tasks) == 25
    assert world.store.notes == {}, "a listing shows them by now"


def test_machines_that_ended_before_a_listing_showed_them_are_not_waited_for() -> None:
    world = World(workers_min=10)
    world.ecs.service.list_lag = 100.0
    world.ecs.fail_starts(NO_CAPACITY, 4)
    world.rounds(60)
    assert len(world.ecs.tasks) == 14, "four were replaced, once"
    succeed(world, killed=False)
    world.rounds(150)
    assert len(world.ecs.tasks) == 14
    assert len(world.running) == 10
    assert world.store.notes == {}


def test_slow_looks_at_many_machines_do_not_outlast_the_lease() -> None:
    world = World(workers_min=250, workers_max=250)
    world.rounds(180)
    assert len(world.running) == 250
    second = world.start()
    look, taken = world.scheduler.look, []

    def late(seconds: float) -> None:
        for _ in range(int(seconds)):
            world.now += 1
            taken.append(second.round())

    def slowly() -> object:
        late(10)  # two addresses that do not answer
        return look()

    world.scheduler.look = slowly  # type: ignore[assignment, method-assign]
    world.ecs.on_call = lambda call: late(7) if call.at and world.controller.holder else None
    assert all(world.round() is not None for _ in range(3))
    assert set(taken) == {None}
    assert len(world.ecs.tasks) == 250


@pytest.mark.parametrize("at", range(3))
def test_a_look_at_the_fleet_ends_when_the_lease_is_lost(at: int) -> None:
    world = World(workers_min=2)
    world.rounds(60)
    calls: list[str] = []

    def lose(call: Call) -> None:
        if len(calls) == at:
            world.store.holder = ("another", world.now + 60)
        calls.append(call.operation)

    world.ecs.on_call = lose
    assert [world.round() is None for _ in range(2)] == [at < 2, True]
    assert calls == ["ListTasks", "DescribeTasks", "ListTasks"][: at + 1]


def test_a_launch_that_is_made_again_with_another_network_takes_over_what_it_started() -> None:
    world = World(workers_min=25)
    world.ecs.lose_answer("RunTask")
    world.round()
    world.now += LEASE_S
    world.ecs.advance()
    world.controller = world.start(worker_security_groups="sg-2")
    rounds = world.rounds(120)
    assert not any(each.done.failures for each in rounds)
    assert len(world.running) == len(world.ecs.tasks) == 25
    assert world.store.notes == {}
