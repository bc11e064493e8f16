"""The controller while ECS accepts tasks and then has no room for them, on Spot, on-demand or both."""

from __future__ import annotations

from typing import Any

from services.autoscaler.market import Market
from services.autoscaler.model import Capacity
from services.autoscaler.starts import Starts
from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND, SPOT
from tests.unit.autoscaler.test_controller import World


def fail_later(world: World, *providers: str) -> None:
    """Let tasks of these providers be accepted and end for want of capacity from now on."""
    run_task = type(world.ecs).run_task

    def run(**parameters: Any) -> Any:
        provider = parameters["capacityProviderStrategy"][0]["capacityProvider"]
        world.ecs.fail_starts(NO_CAPACITY if provider in providers else None)
        return run_task(world.ecs, **parameters)

    world.ecs.run_task = run  # type: ignore[method-assign]


def spot(world: World) -> int:
    return sum(task.spot for task in world.running)


def test_want_of_on_demand_machines_says_nothing_of_spot() -> None:
    world = World(workers_min=12, on_demand_base=2)
    fail_later(world, ON_DEMAND)
    world.rounds(300)
    assert world.controller._market.refused_since is None
    assert spot(world) == 10


def test_without_capacity_anywhere_one_machine_at_a_time_is_tried() -> None:
    world = World(workers_min=20)
    fail_later(world, SPOT, ON_DEMAND)
    world.rounds(600)
    before = len(world.ecs.tasks)
    rounds = world.rounds(1800)
    assert 6 <= len(world.ecs.tasks) - before <= 20, "one of each capacity in five minutes"
    assert max(sum(map(len, each.done.launched.values())) for each in rounds) <= 2
    assert before < 150
    fail_later(world)
    world.rounds(900)
    assert len(world.running) >= 20
    assert spot(world) == len(world.running)


def test_a_quota_that_is_used_up_is_tried_ever_more_slowly() -> None:
    world = World(workers_min=20, use_spot=False)
    world.ecs.fail_starts("You've reached the limit on the number of vCPUs you can run concurrently")
    world.rounds(600)
    before = len(world.ecs.tasks)
    assert before < 100
    world.rounds(1800)
    assert len(world.ecs.tasks) - before <= 10


def test_want_of_spot_slows_spot_only_until_on_demand_machines_are_started() -> None:
    world = World(workers_min=20, spot_fallback_after=3600)
    fail_later(world, SPOT)
    world.rounds(1800)
    assert len(world.ecs.tasks) < 100, "nobody falls back yet"
    world = World(workers_min=20, spot_fallback_after=60, spot_retry_after=100)
    fail_later(world, SPOT)
    world.rounds(240)
    assert len(world.running) == 20
    before = len(world.ecs.tasks)
    world.scheduler.target = 40
    world.round()
    assert 20 <= len(world.ecs.tasks) - before <= 21, "on-demand machines work: all at once"
    world.rounds(120)
    before = len(world.ecs.tasks)
    world.rounds(900)
    assert 6 <= len(world.ecs.tasks) - before <= 9, "Spot is tried each 100 s, no less for its refusals"


def test_want_of_on_demand_machines_does_not_slow_spot_ones() -> None:
    world = World(workers_min=12, on_demand_base=2)
    fail_later(world, ON_DEMAND)
    world.rounds(1800)
    tried = len([task for task in world.ecs.tasks.values() if not task.spot])
    assert tried < 20
    world.scheduler.target = 40
    world.rounds(100)
    assert spot(world) == 38


def dear_fleet(**changes: object) -> World:
    """Eight machines, all on-demand for want of Spot, none missing."""
    world = World(workers_min=8, workers_max=8, rollout_surge=1, spot_fallback_after=0, spot_retry_after=60, **changes)
    world.ecs.set_capacity(SPOT, 0)
    world.rounds(150)
    assert (len(world.running), spot(world)) == (8, 0)
    return world


def asked_for_spot(world: World) -> int:
    return sum(
        call.operation == "RunTask" and call.parameters["capacityProviderStrategy"][0]["capacityProvider"] == SPOT
        for call in world.ecs.calls
    )


def test_spot_is_tried_within_the_maximum_and_surge_only() -> None:
    world = dear_fleet()
    before = asked_for_spot(world)
    world.rounds(300)
    assert asked_for_spot(world) - before >= 3
    world.controller.close()
    world.controller = world.start(workers_max=7)  # eight are the limit now
    world.busy(8)
    world.controller._market = Market(world.now - 600, world.now - 61)
    before = asked_for_spot(world)
    world.rounds(300)
    assert (asked_for_spot(world), len(world.ecs.tasks)) == (before, 8)


def test_spot_is_not_tried_while_starting_pauses() -> None:
    world = dear_fleet()
    world.controller._starts[Capacity.SPOT] = Starts(failures=8, until=world.now + 250)
    before = asked_for_spot(world)
    world.rounds(245)
    assert asked_for_spot(world) == before
    world.rounds(20)
    assert asked_for_spot(world) == before + 1
