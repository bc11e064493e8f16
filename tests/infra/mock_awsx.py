"""What awsx answers under mocks: components without children, so that what they have made comes with their outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.infra.graph import Recorded
from tests.infra.mock_invokes import ACCOUNT, PARTITION, REGION, ZONES
from tests.infra.wire import Reference

_PREFIXES = {
    "Eip": "eipalloc",
    "InternetGateway": "igw",
    "NatGateway": "nat",
    "RouteTable": "rtb",
    "Subnet": "subnet",
    "Vpc": "vpc",
    "VpcEndpoint": "vpce",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A resource that a remote component has made, as one of its outputs.

    Attributes:
        urn: of the resource.
        id: of the resource.
        state: its outputs.
    """

    urn: str
    id: str
    state: Mapping[str, Any]


def parts(given: Mapping[str, Any]) -> Iterator[Part]:
    """Resources among outputs."""
    for value in given.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Part))


def as_references(given: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs with references in the place of resources."""

    def refer(value: Any) -> Any:
        if isinstance(value, list):
            return [refer(item) for item in value]
        return Reference(value.urn, value.id) if isinstance(value, Part) else value

    return {key: refer(value) for key, value in given.items()}


def digest(resource: Recorded, length: int = 17) -> str:
    """Hexadecimal digits that are a resource's own, as in ids."""
    return hashlib.sha256(resource.urn.encode()).hexdigest()[:length]


def vpc(resource: Recorded) -> Mapping[str, Any]:
    """What `awsx.ec2.Vpc` answers: its subnets by zones and specifications, and all that belongs to them."""
    count = int(resource.inputs.get("numberOfAvailabilityZones", 3))
    zones = resource.inputs.get("availabilityZoneNames", ZONES[:count])
    specs = resource.inputs.get("subnetSpecs", [{"type": "Private"}, {"type": "Public"}])
    network = _part(resource, "ec2/vpc:Vpc", "vpc", cidrBlock=resource.inputs.get("cidrBlock", "10.0.0.0/16"))
    made: dict[str, Any] = {"vpc": network, "vpcId": network.id, "subnets": [], "routeTables": [], "subnetLayout": []}
    for kind in ("public", "private", "isolated"):
        wanted = [number for number, spec in enumerate(specs) if str(spec["type"]).lower() == kind]
        of_kind = [(number, zone) for zone in zones for number in wanted]
        subnets = [
            _part(resource, "ec2/subnet:Subnet", f"{kind}{n}-{zone}", vpcId=network.id, availabilityZone=zone)
            for n, zone in of_kind
        ]
        tables = [
            _part(resource, "ec2/routeTable:RouteTable", f"{kind}{n}-{zone}", vpcId=network.id) for n, zone in of_kind
        ]
        made |= {f"{kind}Subnets": subnets, f"{kind}SubnetIds": [subnet.id for subnet in subnets]}
        made["subnets"] += subnets
        made["routeTables"] += tables
    strategy = resource.inputs.get("natGateways", {}).get("strategy", "OnePerAz")
    gateways = {"None": 0, "Single": 1}.get(strategy, len(zones))
    made["natGateways"] = [_part(resource, "ec2/natGateway:NatGateway", str(number)) for number in range(gateways)]
    made["eips"] = [_part(resource, "ec2/eip:Eip", str(number)) for number in range(gateways)]
    made["internetGateway"] = _part(resource, "ec2/internetGateway:InternetGateway", "internet", vpcId=network.id)
    endpoints = resource.inputs.get("vpcEndpointSpecs", [])
    made["vpcEndpoints"] = [
        _part(resource, "ec2/vpcEndpoint:VpcEndpoint", spec["serviceName"], serviceName=spec["serviceName"])
        for spec in endpoints
    ]
    return {**made, "routes": [], "routeTableAssociations": []}


def _part(component: Recorded, short: str, name: str, **state: Any) -> Part:
    kind = f"{component.type}$aws:{short}"
    urn = f"{component.urn.partition('::')[0]}::{component.urn.split('::')[1]}::{kind}::{component.name}-{name}"
    own = f"{_PREFIXES[short.rpartition(':')[2]]}-{hashlib.sha256(urn.encode()).hexdigest()[:17]}"
    service = f"arn:{PARTITION}:ec2:{REGION}:{ACCOUNT}"
    return Part(urn, own, {"id": own, "arn": f"{service}:{short.rpartition(':')[2].lower()}/{own}", **state})


def image(resource: Recorded) -> Mapping[str, Any]:
    """What `awsx.ecr.Image` answers."""
    return {"imageUri": f"{resource.inputs.get('repositoryUrl', '')}@sha256:{digest(resource, 64)}"}
