"""Cloud Map: a private DNS name under which the scheduler is found, whoever it is at the time."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components.base import Component, Place
from infra.components.network import Network

TTL_S = 10
"""How long a client may go on asking a scheduler that was replaced."""


class Discovery(Component):
    """The private DNS namespace and the scheduler's name in it.

    Attributes:
        scheduler_service_arn: of the Cloud Map service, for the ECS service's registration.
        scheduler_host: name that resolves to the scheduler's address.
    """

    def __init__(self, place: Place, network: Network, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("discovery", place, opts)
        namespace = aws.servicediscovery.PrivateDnsNamespace(
            place.names.logical("namespace"),
            name=place.names.namespace,
            vpc=network.vpc_id,
            description="Tidegate: names inside this stack",
            opts=self.child(),
        )
        service = aws.servicediscovery.Service(
            place.names.logical("scheduler-name"),
            name="scheduler",
            dns_config=aws.servicediscovery.ServiceDnsConfigArgs(
                namespace_id=namespace.id,
                routing_policy="MULTIVALUE",
                dns_records=[aws.servicediscovery.ServiceDnsConfigDnsRecordArgs(type="A", ttl=TTL_S)],
            ),
            # Instances of tasks that ended otherwise than in order would keep the service from being deleted.
            force_destroy=True,
            opts=self.child(),
        )
        self.scheduler_service_arn = service.arn
        self.scheduler_host = pulumi.Output.concat(service.name, ".", namespace.name)
        self.register_outputs({"scheduler_host": self.scheduler_host})
