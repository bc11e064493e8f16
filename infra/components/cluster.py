"""The ECS cluster, and the end of its fleet: workers are started by the autoscaler, so Pulumi does not know them."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components.base import Component, Place
from infra.dynamic.fleet_stop import STOP_RATE, FleetStop

DRAIN_S = 300
"""A worker drains for two minutes at most; ECS takes its time to say so. What telling all of them takes is added."""


class Cluster(Component):
    """The cluster.

    Attributes:
        arn: of the cluster.
        name: of the cluster.
        fleet: deleted after whoever depends on it and before the cluster, and stops all workers then.
        ready: what must be there before tasks can be started.
    """

    def __init__(self, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("cluster", place, opts)
        settings, names = place.settings, place.names
        name = names.prefix
        after: list[pulumi.Resource] = []
        if settings.container_insights:
            # ECS would make it without retention.
            after.append(
                aws.cloudwatch.LogGroup(
                    names.logical("insights"),
                    name=f"/aws/ecs/containerinsights/{name}/performance",
                    retention_in_days=settings.log_days,
                    opts=self.child(),
                )
            )
        insights = "enabled" if settings.container_insights else "disabled"
        cluster = aws.ecs.Cluster(
            names.logical("cluster"),
            name=name,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value=insights)],
            opts=self.child(*after, delete_first=True),
        )
        providers = aws.ecs.ClusterCapacityProviders(
            names.logical("capacity"),
            cluster_name=cluster.name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            opts=self.child(),
        )
        self.arn = cluster.arn
        self.name = cluster.name
        self.fleet = FleetStop(
            names.logical("fleet"),
            cluster=cluster.arn,
            fleet_name=names.fleet,
            region=place.region,
            profile=place.profile,
            role_arn=place.role_arn,
            timeout=DRAIN_S + settings.workers_max / STOP_RATE,
            # So that a destroy stops the fleet while its capacity providers are still the cluster's.
            opts=self.child(providers),
        )
        self.ready: list[pulumi.Resource] = [providers, self.fleet]
        self.register_outputs({"arn": self.arn})
