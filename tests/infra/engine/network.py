"""EC2: networks, security groups and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.infra.engine.kind import Kind, Props, Refused, again, aws, one, pairs, settled, tags_of, whole


def ec2() -> Any:
    return aws("ec2")


def tagged(id_: str, props: Props) -> str:
    if props.get("tags"):
        ec2().create_tags(Resources=[id_], Tags=pairs(props["tags"]))
    return id_


def retag(id_: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        ec2().delete_tags(Resources=[id_], Tags=pairs(old["tags"]))
    tagged(id_, new)


def described(operation: str, result: str, key: str, id_: str) -> Any:
    return one(getattr(ec2(), operation)(**{key: [id_]})[result])


# VPC


def create_vpc(p: Props) -> str:
    id_ = str(ec2().create_vpc(CidrBlock=p["cidrBlock"])["Vpc"]["VpcId"])
    change_vpc(id_, {}, p)
    return id_


def change_vpc(id_: str, old: Props, new: Props) -> None:
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        value = new.get(name[0].lower() + name[1:])
        if value is not None:
            ec2().modify_vpc_attribute(VpcId=id_, **{name: {"Value": value}})
    retag(id_, old, new)


def read_vpc(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_vpcs", "Vpcs", "VpcIds", id_)

    def flag(name: str) -> Any:
        return ec2().describe_vpc_attribute(VpcId=id_, Attribute=name)[name[0].upper() + name[1:]]["Value"]

    return {
        "cidrBlock": found["CidrBlock"],
        "enableDnsSupport": flag("enableDnsSupport"),
        "enableDnsHostnames": flag("enableDnsHostnames"),
        "tags": tags_of(found.get("Tags")),
        "arn": f"arn:aws:ec2:us-east-1:123456789012:vpc/{id_}",
    }


# Subnets


def create_subnet(p: Props) -> str:
    made = ec2().create_subnet(VpcId=p["vpcId"], CidrBlock=p["cidrBlock"], AvailabilityZone=p["availabilityZone"])
    id_ = str(made["Subnet"]["SubnetId"])
    change_subnet(id_, {}, p)
    return id_


def change_subnet(id_: str, old: Props, new: Props) -> None:
    if "mapPublicIpOnLaunch" in new:
        ec2().modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch={"Value": new["mapPublicIpOnLaunch"]})
    retag(id_, old, new)


def read_subnet(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_subnets", "Subnets", "SubnetIds", id_)
    return {
        "vpcId": found["VpcId"],
        "cidrBlock": found["CidrBlock"],
        "availabilityZone": found["AvailabilityZone"],
        "mapPublicIpOnLaunch": found["MapPublicIpOnLaunch"],
        "tags": tags_of(found.get("Tags")),
    }


# Gateways


def create_internet_gateway(p: Props) -> str:
    id_ = str(ec2().create_internet_gateway()["InternetGateway"]["InternetGatewayId"])
    ec2().attach_internet_gateway(InternetGatewayId=id_, VpcId=p["vpcId"])
    return tagged(id_, p)


def read_internet_gateway(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_internet_gateways", "InternetGateways", "InternetGatewayIds", id_)
    attached = one(found["Attachments"])
    return {"vpcId": attached and attached["VpcId"], "tags": tags_of(found.get("Tags"))}


def delete_internet_gateway(id_: str, known: Props) -> None:
    ec2().detach_internet_gateway(InternetGatewayId=id_, VpcId=known["vpcId"])
    ec2().delete_internet_gateway(InternetGatewayId=id_)


def read_eip(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_addresses", "Addresses", "AllocationIds", id_)
    return {"domain": found["Domain"], "publicIp": found["PublicIp"], "tags": tags_of(found.get("Tags"))}


def read_nat_gateway(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(ec2().describe_nat_gateways(NatGatewayIds=[id_])["NatGateways"])
    if found is None or found["State"] in ("deleted", "deleting"):
        return None
    return {
        "subnetId": found["SubnetId"],
        "allocationId": found["NatGatewayAddresses"][0]["AllocationId"],
        "tags": tags_of(found.get("Tags")),
    }


# Routes


def read_route_table(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_route_tables", "RouteTables", "RouteTableIds", id_)
    return {"vpcId": found["VpcId"], "tags": tags_of(found.get("Tags"))}


ROUTE_TARGETS = {"gatewayId": "GatewayId", "natGatewayId": "NatGatewayId"}


def route(p: Props) -> dict[str, Any]:
    target = {name: p[key] for key, name in ROUTE_TARGETS.items() if key in p}
    return {"RouteTableId": p["routeTableId"], "DestinationCidrBlock": p["destinationCidrBlock"], **target}


def create_route(p: Props) -> str:
    ec2().create_route(**route(p))
    return f"{p['routeTableId']}_{p['destinationCidrBlock']}"


def read_route(id_: str, _: Props) -> Mapping[str, Any] | None:
    table, _sep, destination = id_.partition("_")
    routes = described("describe_route_tables", "RouteTables", "RouteTableIds", table)["Routes"]
    found = one([route for route in routes if route.get("DestinationCidrBlock") == destination])
    if found is None:
        return None
    targets = {key: found[name] for key, name in ROUTE_TARGETS.items() if name in found}
    return {"routeTableId": table, "destinationCidrBlock": destination, **targets}


def delete_route(id_: str, _: Props) -> None:
    table, _sep, destination = id_.partition("_")
    ec2().delete_route(RouteTableId=table, DestinationCidrBlock=destination)


def create_association(p: Props) -> str:
    return str(ec2().associate_route_table(RouteTableId=p["routeTableId"], SubnetId=p["subnetId"])["AssociationId"])


def read_association(id_: str, known: Props) -> Mapping[str, Any] | None:
    for table in ec2().describe_route_tables()["RouteTables"]:
        for each in table["Associations"]:
            if each["RouteTableAssociationId"] == id_:
                return {"routeTableId": table["RouteTableId"], "subnetId": each["SubnetId"]}
    return None


# Endpoints


def refuse_endpoint(p: Props) -> None:
    if p.get("privateDnsEnabled") and isinstance(p.get("vpcId"), str):
        for name in ("enableDnsSupport", "enableDnsHostnames"):
            answer = ec2().describe_vpc_attribute(VpcId=p["vpcId"], Attribute=name)
            if not answer[name[0].upper() + name[1:]]["Value"]:
                raise Refused(f"an endpoint with private DNS needs {name} on {p['vpcId']}")


def create_endpoint(p: Props) -> str:
    names = {
        "vpcId": "VpcId",
        "serviceName": "ServiceName",
        "vpcEndpointType": "VpcEndpointType",
        "subnetIds": "SubnetIds",
        "routeTableIds": "RouteTableIds",
        "securityGroupIds": "SecurityGroupIds",
        "privateDnsEnabled": "PrivateDnsEnabled",
    }
    made = ec2().create_vpc_endpoint(**{name: p[key] for key, name in names.items() if key in p})
    return tagged(str(made["VpcEndpoint"]["VpcEndpointId"]), p)


def read_endpoint(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointIds", id_)
    if found is None or found["State"].lower() in ("deleted", "deleting"):
        return None
    return {
        "vpcId": found["VpcId"],
        "serviceName": found["ServiceName"],
        "vpcEndpointType": found["VpcEndpointType"],
        "subnetIds": found.get("SubnetIds", []),
        "routeTableIds": found.get("RouteTableIds", []),
        "securityGroupIds": [group["GroupId"] for group in found.get("Groups", [])],
        "privateDnsEnabled": found.get("PrivateDnsEnabled"),
        "tags": tags_of(found.get("Tags")),
    }


def change_endpoint(id_: str, old: Props, new: Props) -> None:
    changes: dict[str, Any] = {}
    for key, name in {"subnetIds": "SubnetIds", "routeTableIds": "RouteTableIds"}.items():
        before, now = set(old.get(key, [])), set(new.get(key, []))
        if now - before:
            changes[f"Add{name}"] = sorted(now - before)
        if before - now:
            changes[f"Remove{name}"] = sorted(before - now)
    if changes:
        ec2().modify_vpc_endpoint(VpcEndpointId=id_, **changes)
    retag(id_, old, new)


# Security groups


def create_group(p: Props) -> str:
    made = ec2().create_security_group(GroupName=p["name"], Description=p["description"], VpcId=p["vpcId"])
    id_ = str(made["GroupId"])
    # The provider takes away what EC2 gives a new group: everything may go out.
    every = ec2().describe_security_groups(GroupIds=[id_])["SecurityGroups"][0]["IpPermissionsEgress"]
    if every:
        ec2().revoke_security_group_egress(GroupId=id_, IpPermissions=every)
    return tagged(id_, p)


def read_group(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described("describe_security_groups", "SecurityGroups", "GroupIds", id_)
    return {
        "name": found["GroupName"],
        "description": found["Description"],
        "vpcId": found["VpcId"],
        "tags": tags_of(found.get("Tags")),
        "arn": f"arn:aws:ec2:us-east-1:123456789012:security-group/{id_}",
    }


def permission(p: Props) -> dict[str, Any]:
    says = {"Description": p["description"]} if "description" in p else {}
    made: dict[str, Any] = {"IpProtocol": p["ipProtocol"]}
    made |= whole({name: p[key] for key, name in {"fromPort": "FromPort", "toPort": "ToPort"}.items() if key in p})
    if "cidrIpv4" in p:
        made["IpRanges"] = [{"CidrIp": p["cidrIpv4"], **says}]
    if "referencedSecurityGroupId" in p:
        made["UserIdGroupPairs"] = [{"GroupId": p["referencedSecurityGroupId"], **says}]
    if "prefixListId" in p:
        made["PrefixListIds"] = [{"PrefixListId": p["prefixListId"], **says}]
    return made


def described_rule(id_: str) -> Any:
    return one(ec2().describe_security_group_rules(SecurityGroupRuleIds=[id_])["SecurityGroupRules"])


RULE = {
    "ipProtocol": "IpProtocol",
    "fromPort": "FromPort",
    "toPort": "ToPort",
    "cidrIpv4": "CidrIpv4",
    "prefixListId": "PrefixListId",
    "referencedSecurityGroupId": "ReferencedGroupId",
    "description": "Description",
}


def change_rule(id_: str, old: Props, new: Props) -> None:
    told = whole({name: new[key] for key, name in RULE.items() if key in new})
    if any(old.get(key) != new.get(key) for key in RULE):
        ec2().modify_security_group_rules(
            GroupId=new["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": id_, "SecurityGroupRule": told}],
        )
    retag(id_, old, new)


def rule(direction: str) -> Kind:
    def create(p: Props) -> str:
        call = getattr(ec2(), f"authorize_security_group_{direction}")
        made = call(GroupId=p["securityGroupId"], IpPermissions=[permission(p)])["SecurityGroupRules"]
        return tagged(str(made[0]["SecurityGroupRuleId"]), p)

    def read(id_: str, _: Props) -> Mapping[str, Any] | None:
        found = described_rule(id_)
        if found is None:
            return None
        seen = {
            "securityGroupId": found["GroupId"],
            "ipProtocol": found["IpProtocol"],
            "fromPort": found.get("FromPort"),
            "toPort": found.get("ToPort"),
            "cidrIpv4": found.get("CidrIpv4"),
            "prefixListId": found.get("PrefixListId"),
            "referencedSecurityGroupId": found.get("ReferencedGroupInfo", {}).get("GroupId"),
            "tags": tags_of(found.get("Tags")),
        }
        return {key: value for key, value in seen.items() if value is not None}

    def delete(id_: str, known: Props) -> None:
        call = getattr(ec2(), f"revoke_security_group_{direction}")
        call(GroupId=known["securityGroupId"], SecurityGroupRuleIds=[id_])

    return Kind(
        create,
        read,
        change_rule,
        delete,
        replaces=frozenset({"securityGroupId"}),
        dropped={"description": "Description"},
        raw=lambda id_, _: described_rule(id_),
    )


KINDS = {
    "aws:ec2/vpc:Vpc": Kind(
        create_vpc, read_vpc, change_vpc, lambda id_, _: ec2().delete_vpc(VpcId=id_), replaces=frozenset({"cidrBlock"})
    ),
    "aws:ec2/subnet:Subnet": Kind(
        create_subnet,
        read_subnet,
        change_subnet,
        lambda id_, _: ec2().delete_subnet(SubnetId=id_),
        replaces=frozenset({"vpcId", "cidrBlock", "availabilityZone"}),
    ),
    "aws:ec2/internetGateway:InternetGateway": Kind(
        create_internet_gateway, read_internet_gateway, retag, delete_internet_gateway, replaces=frozenset({"vpcId"})
    ),
    "aws:ec2/eip:Eip": Kind(
        lambda p: tagged(ec2().allocate_address(Domain=p["domain"])["AllocationId"], p),
        read_eip,
        retag,
        lambda id_, _: ec2().release_address(AllocationId=id_),
        replaces=frozenset({"domain"}),
    ),
    "aws:ec2/natGateway:NatGateway": Kind(
        lambda p: tagged(
            ec2().create_nat_gateway(SubnetId=p["subnetId"], AllocationId=p["allocationId"])["NatGateway"][
                "NatGatewayId"
            ],
            p,
        ),
        read_nat_gateway,
        retag,
        lambda id_, _: ec2().delete_nat_gateway(NatGatewayId=id_),
        replaces=frozenset({"subnetId", "allocationId"}),
    ),
    "aws:ec2/routeTable:RouteTable": Kind(
        lambda p: tagged(ec2().create_route_table(VpcId=p["vpcId"])["RouteTable"]["RouteTableId"], p),
        read_route_table,
        retag,
        lambda id_, _: ec2().delete_route_table(RouteTableId=id_),
        replaces=frozenset({"vpcId"}),
    ),
    "aws:ec2/route:Route": Kind(
        create_route,
        read_route,
        again(lambda p: ec2().replace_route(**route(p))),
        delete_route,
        replaces=frozenset({"routeTableId", "destinationCidrBlock"}),
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Kind(
        create_association,
        read_association,
        settled,
        lambda id_, _: ec2().disassociate_route_table(AssociationId=id_),
        replaces=frozenset({"routeTableId", "subnetId"}),
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Kind(
        create_endpoint,
        read_endpoint,
        change_endpoint,
        lambda id_, _: ec2().delete_vpc_endpoints(VpcEndpointIds=[id_]),
        replaces=frozenset({"vpcId", "serviceName", "vpcEndpointType"}),
        refuse=refuse_endpoint,
    ),
    "aws:ec2/securityGroup:SecurityGroup": Kind(
        create_group,
        read_group,
        retag,
        lambda id_, _: ec2().delete_security_group(GroupId=id_),
        name="name",
        replaces=frozenset({"name", "description", "vpcId"}),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": rule("ingress"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": rule("egress"),
}


def prefix_list(arguments: Props) -> Props:
    """`aws.ec2.getPrefixList`."""
    filters = [{"Name": "prefix-list-name", "Values": [arguments["name"]]}]
    found = one(ec2().describe_managed_prefix_lists(Filters=filters)["PrefixLists"])
    if found is None:
        raise LookupError(f"no prefix list {arguments['name']}")
    return {"id": found["PrefixListId"], "name": found["PrefixListName"], "cidrBlocks": []}


def zones(_: Props) -> Props:
    """`aws.getAvailabilityZones`."""
    found = [zone for zone in ec2().describe_availability_zones()["AvailabilityZones"] if zone["State"] == "available"]
    return {
        "names": [zone["ZoneName"] for zone in found],
        "zoneIds": [zone["ZoneId"] for zone in found],
        "id": "us-east-1",
    }


FUNCTIONS = {
    "aws:ec2/getPrefixList:getPrefixList": prefix_list,
    "aws:index/getAvailabilityZones:getAvailabilityZones": zones,
    "aws:index/getRegion:getRegion": lambda _: {"region": "us-east-1", "name": "us-east-1", "id": "us-east-1"},
    "aws:index/getPartition:getPartition": lambda _: {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
    "aws:index/getCallerIdentity:getCallerIdentity": lambda _: {
        "accountId": aws("sts").get_caller_identity()["Account"],
        "arn": "",
        "id": "",
        "userId": "",
    },
}
