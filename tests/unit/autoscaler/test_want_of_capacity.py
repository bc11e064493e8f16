"""The controller while ECS accepts tasks and then has no room for them, on Spot, on-demand or both."""

from __future__ import annotations

from typing import Any

from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND
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
