"""The network: names resolve inside it, endpoints answer under AWS's own names, and tasks are in private subnets."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, group_id, private_subnets, services

STACKS = ("development", "production", "no NAT")


def test_names_resolve(stack: Stacks) -> None:
    for name in STACKS:
        vpc = stack(name).one("awsx:ec2:Vpc").inputs
        assert vpc["enableDnsHostnames"] is True, "endpoints with private DNS and EFS need it"
        assert vpc["enableDnsSupport"] is True


def test_subnets_stay_where_they_are_when_a_zone_is_added(stack: Stacks) -> None:
    two, three = (stack(name).one("awsx:ec2:Vpc").inputs for name in ("development", "three zones"))
    assert (two["numberOfAvailabilityZones"], three["numberOfAvailabilityZones"]) == (2, 3)
    for key in ("availabilityZoneCidrMask", "subnetStrategy", "subnetSpecs", "cidrBlock"):
        assert two[key] == three[key]
    assert two["subnetStrategy"] == "Auto"


def test_nat_is_as_it_is_set(stack: Stacks) -> None:
    wanted = {"development": "Single", "production": "OnePerAz", "no NAT": "None"}
    for name, strategy in wanted.items():
        vpc = stack(name).one("awsx:ec2:Vpc").inputs
        assert vpc["natGateways"]["strategy"] == strategy
        kinds = {"Isolated" if strategy == "None" else "Private", "Public"}
        assert {spec["type"] for spec in vpc["subnetSpecs"]} == kinds


def test_what_goes_to_s3_goes_by_its_gateway(stack: Stacks) -> None:
    for name in STACKS:
        vpc = stack(name).one("awsx:ec2:Vpc").inputs
        assert vpc["vpcEndpointStrategy"] == "Auto", "anything else leaves the route tables as they are"
        assert vpc["vpcEndpointSpecs"] == [{"serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway"}]


def test_endpoints_answer_under_the_services_own_names_where_tasks_are(stack: Stacks) -> None:
    graph = stack("no NAT")
    endpoints = graph.of("VpcEndpoint")
    assert endpoints
    for endpoint in endpoints:
        assert endpoint.inputs.get("privateDnsEnabled") is True, endpoint.name
        assert endpoint.inputs["vpcEndpointType"] == "Interface"
        assert endpoint.inputs["subnetIds"] == private_subnets(graph)
        assert endpoint.inputs["securityGroupIds"] == [group_id(graph, "endpoints")]
    assert stack("development").of("VpcEndpoint") == []


def test_tasks_are_in_private_subnets_under_their_own_group(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        for part, service in services(graph).items():
            assert service.inputs["networkConfiguration"] == {
                "subnets": private_subnets(graph),
                "securityGroups": [group_id(graph, part)],
                "assignPublicIp": False,
            }
