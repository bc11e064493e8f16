"""The VPC, and one security group per service with rules only between the pairs that talk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx

from infra import endpoints, ports
from infra.components.base import Component, Place

_STRATEGIES = {
    "none": awsx.ec2.NatGatewayStrategy.NONE,
    "single": awsx.ec2.NatGatewayStrategy.SINGLE,
    "per-zone": awsx.ec2.NatGatewayStrategy.ONE_PER_AZ,
}
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Groups:
    """Security groups, one for each that talks."""

    balancer: aws.ec2.SecurityGroup
    api: aws.ec2.SecurityGroup
    scheduler: aws.ec2.SecurityGroup
    worker: aws.ec2.SecurityGroup
    autoscaler: aws.ec2.SecurityGroup
    cache: aws.ec2.SecurityGroup


class Network(Component):
    """VPC, endpoints, security groups.

    Attributes:
        vpc_id: of the VPC.
        public_subnet_ids: one subnet per zone, with a route to the internet.
        private_subnet_ids: one per zone, for everything that is not the load balancer.
        groups: security groups.
        routes: what a task needs of the network besides its subnet and group: NAT routes or endpoints, and all rules
            between groups, which must not go before the tasks do.
    """

    def __init__(self, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("network", place, opts)
        self._vpc = self._make_vpc()
        self.vpc_id = self._vpc.vpc_id
        self.public_subnet_ids = self._vpc.public_subnet_ids
        self.private_subnet_ids = self._vpc.private_subnet_ids if self._nat else self._vpc.isolated_subnet_ids
        names = ("balancer", "api", "scheduler", "worker", "autoscaler", "cache")
        self.groups = Groups(**{name: self._group(name) for name in names})
        self.routes: list[pulumi.Resource] = [
            self._vpc,
            *self._rules_of_services(),
            *self._rules_of_users(),
            *self._ways_to_aws(),
        ]
        self.register_outputs({"vpc_id": self.vpc_id})

    @property
    def _nat(self) -> bool:
        return self.place.settings.nat != "none"

    def _make_vpc(self) -> awsx.ec2.Vpc:
        settings = self.place.settings
        private = awsx.ec2.SubnetType.PRIVATE if self._nat else awsx.ec2.SubnetType.ISOLATED
        return awsx.ec2.Vpc(
            self.place.names.logical("vpc"),
            cidr_block=str(settings.vpc_cidr),
            number_of_availability_zones=settings.availability_zones,
            availability_zone_cidr_mask=settings.zone_mask,
            # Explicit, since the default renumbers all subnets when a zone is added.
            subnet_strategy=awsx.ec2.SubnetAllocationStrategy.AUTO,
            subnet_specs=[
                awsx.ec2.SubnetSpecArgs(type=private, name="tasks", cidr_mask=settings.private_mask),
                awsx.ec2.SubnetSpecArgs(type=awsx.ec2.SubnetType.PUBLIC, name="public", cidr_mask=settings.public_mask),
            ],
            nat_gateways=awsx.ec2.NatGatewayConfigurationArgs(strategy=_STRATEGIES[settings.nat or "none"]),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            # Fills in the route tables; costs nothing, and spares NAT what goes to S3: layers of images, large results.
            vpc_endpoint_strategy=awsx.ec2.VpcEndpointStrategy.AUTO,
            vpc_endpoint_specs=[
                awsx.ec2.VpcEndpointSpecArgs(service_name=self._service("s3"), vpc_endpoint_type="Gateway")
            ],
            opts=self.child(),
        )

    def of_tasks(self, group: aws.ec2.SecurityGroup) -> aws.ecs.ServiceNetworkConfigurationArgs:
        """Where a service's tasks are: in private subnets, under the rules of its group."""
        return aws.ecs.ServiceNetworkConfigurationArgs(
            subnets=self.private_subnet_ids, security_groups=[group.id], assign_public_ip=False
        )

    def _service(self, name: str) -> str:
        """Name of an AWS service as VPC endpoints have it."""
        return f"com.amazonaws.{self.place.region}.{name}"

    def _group(self, service: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            self.place.names.logical(f"{service}-sg"),
            description=f"Tidegate: {service}",
            vpc_id=self.vpc_id,
            opts=self.child(),
        )

    # Rules. Each pair that talks is one line here.

    def _rules_of_services(self) -> Iterator[pulumi.Resource]:
        groups = self.groups
        yield from allow(self, "balancer-api", groups.balancer, groups.api, ports.API)
        for name, group in (("api", groups.api), ("worker", groups.worker), ("autoscaler", groups.autoscaler)):
            yield from allow(self, f"{name}-scheduler", group, groups.scheduler, ports.SCHEDULER)
            yield from allow(self, f"{name}-cache", group, groups.cache, ports.CACHE)
        # Dask's workers fetch data from each other; its scheduler calls them for broadcast, gather and profiles.
        yield from allow(self, "worker-worker", groups.worker, groups.worker, *ports.WORKERS)
        yield from allow(self, "scheduler-worker", groups.scheduler, groups.worker, *ports.WORKERS)

    def _rules_of_users(self) -> Iterator[pulumi.Resource]:
        settings, groups = self.place.settings, self.groups
        for port in (ports.HTTP, ports.HTTPS) if settings.domain else (ports.HTTP,):
            for number, network in enumerate(settings.ingress_cidrs):
                yield aws.vpc.SecurityGroupIngressRule(
                    self.place.names.logical(f"users-balancer-{port}-{number}"),
                    security_group_id=groups.balancer.id,
                    cidr_ipv4=str(network),
                    ip_protocol="tcp",
                    from_port=port,
                    to_port=port,
                    description="users of the API",
                    opts=self.child(),
                )
        for number, network in enumerate(settings.worker_egress_cidrs):
            yield aws.vpc.SecurityGroupEgressRule(
                self.place.names.logical(f"worker-out-{number}"),
                security_group_id=groups.worker.id,
                cidr_ipv4=str(network),
                ip_protocol="-1",
                description="workerEgressCidrs",
                opts=self.child(),
            )

    # The way to AWS's own services.

    def _ways_to_aws(self) -> Iterator[pulumi.Resource]:
        s3 = aws.ec2.get_prefix_list_output(name=self._service("s3"), opts=pulumi.InvokeOutputOptions(parent=self))
        tasks = {name: getattr(self.groups, name) for name in ("api", "scheduler", "worker", "autoscaler")}
        for name, group in tasks.items():
            yield aws.vpc.SecurityGroupEgressRule(
                self.place.names.logical(f"{name}-s3"),
                security_group_id=group.id,
                prefix_list_id=s3.id,
                ip_protocol="tcp",
                from_port=ports.HTTPS,
                to_port=ports.HTTPS,
                description="S3, which also holds the layers of images",
                opts=self.child(),
            )
        if not self._nat:
            yield from self._endpoints(tasks)
            return
        for name, group in tasks.items():
            yield aws.vpc.SecurityGroupEgressRule(
                self.place.names.logical(f"{name}-https"),
                security_group_id=group.id,
                cidr_ipv4=ANYWHERE,
                ip_protocol="tcp",
                from_port=ports.HTTPS,
                to_port=ports.HTTPS,
                description="AWS through NAT",
                opts=self.child(),
            )

    def _endpoints(self, tasks: dict[str, aws.ec2.SecurityGroup]) -> Iterator[pulumi.Resource]:
        group = self._group("endpoints")
        for name, source in tasks.items():
            yield from allow(self, f"{name}-endpoints", source, group, ports.HTTPS)
        for service in endpoints.interfaces(quotas=self.place.settings.service_quotas_endpoint):
            yield aws.ec2.VpcEndpoint(
                self.place.names.logical(f"endpoint-{service.replace('.', '-')}"),
                vpc_id=self.vpc_id,
                service_name=self._service(service),
                vpc_endpoint_type="Interface",
                subnet_ids=self.private_subnet_ids,
                security_group_ids=[group.id],
                private_dns_enabled=True,
                opts=self.child(),
            )


def allow(
    component: Component,
    name: str,
    source: aws.ec2.SecurityGroup,
    target: aws.ec2.SecurityGroup,
    first: int,
    last: int | None = None,
) -> list[pulumi.Resource]:
    """Let one security group reach another at a range of TCP ports; return the rules, which are the component's."""
    rules: list[pulumi.Resource] = []
    for kind, own, other in (
        (aws.vpc.SecurityGroupEgressRule, source, target),
        (aws.vpc.SecurityGroupIngressRule, target, source),
    ):
        way = "out" if kind is aws.vpc.SecurityGroupEgressRule else "in"
        rule = kind(
            component.place.names.logical(f"{name}-{way}"),
            security_group_id=own.id,
            referenced_security_group_id=other.id,
            ip_protocol="tcp",
            from_port=first,
            to_port=last or first,
            description=name,
            opts=component.child(),
        )
        rules.append(rule)
    return rules
