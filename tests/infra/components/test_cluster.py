"""The cluster has what the fleet asks for."""

from __future__ import annotations

from services.autoscaler.fleet.ecs_task import PROVIDERS
from tests.infra.components.stacks import Stacks


def test_it_has_every_capacity_that_the_fleet_asks_for(stack: Stacks) -> None:
    for name in ("development", "always on demand"):
        graph = stack(name)
        providers = graph.one("ClusterCapacityProviders").inputs
        assert set(PROVIDERS.values()) <= set(providers["capacityProviders"])
        assert providers["clusterName"] == graph.one("aws:ecs/cluster:Cluster").outputs["name"]
