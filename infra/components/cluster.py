"""The ECS cluster, with what its tasks run on."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components.base import Component, Place


class Cluster(Component):
    """The cluster.

    Attributes:
        arn: of the cluster.
        name: of the cluster.
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
        self.ready: list[pulumi.Resource] = [providers]
        self.register_outputs({"arn": self.arn})
