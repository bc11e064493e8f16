"""awsx as this program uses it: components whose children are plain resources of `aws`, as the real ones' are."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build
from pulumi.provider import ConstructResult, Provider, main

VERSION = "3.11.0"


class Vpc(pulumi.ComponentResource):
    """`awsx.ec2.Vpc` with explicit masks: each zone has a part of the network, each specification a part of that."""

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        super().__init__("awsx:ec2:Vpc", name, {}, opts)
        self._name = name
        self._inputs = inputs
        own = pulumi.ResourceOptions(parent=self)
        self._own = own
        tags = dict(inputs.get("tags") or {})
        self._tags = tags
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=inputs["cidrBlock"],
            enable_dns_hostnames=inputs["enableDnsHostnames"],
            enable_dns_support=inputs["enableDnsSupport"],
            tags={**tags, "Name": name},
            opts=own,
        )
        self._gateway = aws.ec2.InternetGateway(name, vpc_id=self._vpc.id, tags={**tags, "Name": name}, opts=own)
        zones = aws.get_availability_zones(state="available").names[: int(inputs["numberOfAvailabilityZones"])]
        self._subnets: dict[str, list[aws.ec2.Subnet]] = {"Public": [], "Private": [], "Isolated": []}
        self._tables: dict[str, list[aws.ec2.RouteTable]] = {"Public": [], "Private": [], "Isolated": []}
        parts = ipaddress.ip_network(inputs["cidrBlock"]).subnets(new_prefix=int(inputs["availabilityZoneCidrMask"]))
        for number, (zone, part) in enumerate(zip(zones, parts, strict=False), start=1):
            self._zone(number, zone, part)
        gateways = self._nat()
        self._endpoints()
        self.outputs: dict[str, Any] = {
            "vpc": self._vpc,
            "vpcId": self._vpc.id,
            "publicSubnetIds": [subnet.id for subnet in self._subnets["Public"]],
            "privateSubnetIds": [subnet.id for subnet in self._subnets["Private"]],
            "isolatedSubnetIds": [subnet.id for subnet in self._subnets["Isolated"]],
            "natGateways": gateways,
            "internetGateway": self._gateway,
            "routeTables": [table for tables in self._tables.values() for table in tables],
            "subnets": [subnet for subnets in self._subnets.values() for subnet in subnets],
        }
        self.register_outputs(self.outputs)

    def _zone(self, number: int, zone: str, part: Any) -> None:
        free = int(part.network_address)
        for spec in sorted(self._inputs["subnetSpecs"], key=lambda each: int(each["cidrMask"])):
            kind, mask = str(spec["type"]), int(spec["cidrMask"])
            block = ipaddress.ip_network((free, mask))
            free += block.num_addresses
            name = f"{self._name}-{spec.get('name') or kind.lower()}-{number}"
            tags = {**self._tags, "Name": name, "SubnetType": kind}
            subnet = aws.ec2.Subnet(
                name,
                vpc_id=self._vpc.id,
                cidr_block=str(block),
                availability_zone=zone,
                map_public_ip_on_launch=kind == "Public",
                tags=tags,
                opts=self._own,
            )
            table = aws.ec2.RouteTable(name, vpc_id=self._vpc.id, tags=tags, opts=self._own)
            aws.ec2.RouteTableAssociation(name, route_table_id=table.id, subnet_id=subnet.id, opts=self._own)
            if kind == "Public":
                aws.ec2.Route(
                    name,
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    gateway_id=self._gateway.id,
                    opts=self._own,
                )
            self._subnets[kind].append(subnet)
            self._tables[kind].append(table)

    def _nat(self) -> list[aws.ec2.NatGateway]:
        strategy = str(self._inputs["natGateways"]["strategy"])
        count = {"None": 0, "Single": 1}.get(strategy, len(self._subnets["Public"]))
        gateways = []
        for number, subnet in enumerate(self._subnets["Public"][:count], start=1):
            name = f"{self._name}-{number}"
            tags = {**self._tags, "Name": name}
            address = aws.ec2.Eip(name, domain="vpc", tags=tags, opts=self._own)
            gateways.append(
                aws.ec2.NatGateway(name, subnet_id=subnet.id, allocation_id=address.id, tags=tags, opts=self._own)
            )
        for number, table in enumerate(self._tables["Private"], start=1):
            if gateways:
                aws.ec2.Route(
                    f"{self._name}-private-{number}",
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=gateways[min(number, len(gateways)) - 1].id,
                    opts=self._own,
                )
        return gateways

    def _endpoints(self) -> None:
        tables = [table.id for each in self._tables.values() for table in each]
        for spec in self._inputs.get("vpcEndpointSpecs", []):
            aws.ec2.VpcEndpoint(
                f"{self._name}-{spec['serviceName'].rpartition('.')[2]}",
                vpc_id=self._vpc.id,
                service_name=spec["serviceName"],
                vpc_endpoint_type=spec["vpcEndpointType"],
                route_table_ids=tables,
                tags=self._tags,
                opts=self._own,
            )


class Image(pulumi.ComponentResource):
    """`awsx.ecr.Image`."""

    def __init__(self, name: str, inputs: Mapping[str, Any], opts: pulumi.ResourceOptions | None) -> None:
        super().__init__("awsx:ecr:Image", name, {}, opts)
        pushed = docker_build.Image(
            name,
            tags=[pulumi.Output.concat(inputs["repositoryUrl"], ":", inputs["imageTag"])],
            push=True,
            context={"location": inputs["context"]},
            dockerfile={"location": inputs["dockerfile"]},
            platforms=[inputs["platform"]],
            build_args=inputs.get("args") or {},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.outputs = {"imageUri": pushed.ref}
        self.register_outputs(self.outputs)


class Plugin(Provider):
    """Constructs components."""

    def construct(
        self, name: str, resource_type: str, inputs: Any, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        kinds: dict[str, type[Vpc] | type[Image]] = {"awsx:ec2:Vpc": Vpc, "awsx:ecr:Image": Image}
        made = kinds[resource_type](name, inputs, options)
        return ConstructResult(urn=made.urn, state=made.outputs)


def serve(arguments: Sequence[str]) -> None:
    """Be the plugin."""
    main(Plugin(VERSION), list(arguments))
