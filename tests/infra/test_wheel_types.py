"""Inputs against the wheels' types: what a schema refuses is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx
import pulumi_random as random
import pytest

from tests.infra import programs, wheel_types
from tests.infra.wire import UNKNOWN, Reference

SERVICE = "aws:ecs/service:Service"
GROUP = "aws:ec2/securityGroup:SecurityGroup"


def test_what_a_program_makes_of_typed_arguments_is_right() -> None:
    def program() -> None:
        cluster = aws.ecs.Cluster("cluster", settings=[{"name": "containerInsights", "value": "enabled"}])
        aws.ecs.Service(
            "service",
            cluster=cluster.arn,
            desired_count=2,
            network_configuration=aws.ecs.ServiceNetworkConfigurationArgs(subnets=["subnet-1"], assign_public_ip=False),
            capacity_provider_strategies=[{"capacity_provider": "FARGATE", "weight": 1}],
            tags={"a": cluster.name},
        )
        awsx.ec2.Vpc(
            "vpc",
            subnet_strategy=awsx.ec2.SubnetAllocationStrategy.AUTO,
            subnet_specs=[awsx.ec2.SubnetSpecArgs(type=awsx.ec2.SubnetType.PUBLIC, cidr_mask=24)],
        )
        random.RandomPassword("password", length=12, special=False)
        aws.Provider("provider", region="eu-west-1", default_tags={"tags": {"a": "b"}}, skip_region_validation=True)
        aws.s3.BucketObjectv2("object", bucket="b", source=pulumi.FileAsset("x"))

    for preview in (False, True):
        graph = programs.of(program, preview=preview)
        assert [found for resource in graph.resources for found in wheel_types.problems(resource)] == []
        assert len(graph.resources) == 6


@pytest.mark.parametrize(
    ("kind", "inputs", "problem"),
    [
        (SERVICE, {"desiredCnt": 2.0}, "desiredCnt is no property of ServiceArgs"),
        (SERVICE, {"desiredCount": "2"}, "desiredCount is '2', not int"),
        (SERVICE, {"desiredCount": 1.5}, "desiredCount is 1.5, not int"),
        (SERVICE, {"desiredCount": True}, "desiredCount is True, not int"),
        (SERVICE, {"enableExecuteCommand": "true"}, "enableExecuteCommand is 'true', not bool"),
        (SERVICE, {"cluster": 7.0}, "cluster is 7.0, not str"),
        (SERVICE, {"cluster": Reference("urn", "id")}, "cluster is a resource (not its id or ARN), not str"),
        (SERVICE, {"cluster": ["a"]}, "cluster is a list, not str"),
        (SERVICE, {"tags": {"a": 1.0}}, "tags.a is 1.0, not str"),
        (SERVICE, {"tags": [{"key": "a"}]}, "tags is a list, not a mapping"),
        (
            SERVICE,
            {"networkConfiguration": {"subnets": "subnet-1"}},
            "networkConfiguration.subnets is 'subnet-1', not a list",
        ),
        (SERVICE, {"networkConfiguration": {}}, "networkConfiguration.subnets is missing"),
        (
            SERVICE,
            {"networkConfiguration": {"subnets": [], "assign_public_ip": False}},
            "networkConfiguration.assign_public_ip is no property of ServiceNetworkConfigurationArgs",
        ),
        (
            SERVICE,
            {"loadBalancers": [{"containerName": "api", "containerPort": 80.0}, {"containerName": 1.0}]},
            "loadBalancers[1].containerName is 1.0, not str",
        ),
        (SERVICE, {"loadBalancers": {"containerName": "api"}}, "loadBalancers is a mapping, not a list"),
        ("aws:secretsmanager/secretVersion:SecretVersion", {}, "secretId is missing"),
        ("aws:secretsmanager/secretVersion:SecretVersion", {"secretId": None}, "secretId is missing"),
        ("aws:ecs/service:Servce", {}, "pulumi_aws knows no such type"),
        ("aws:ecs/servce:Service", {}, "pulumi_aws knows no such type"),
        ("awsx:ec2:Vpc", {"subnetStrategy": "auto"}, "subnetStrategy is 'auto', not one of 'Legacy', 'Auto'"),
        ("awsx:ecr:Image", {"repositoryUrl": "x", "tag": "y"}, "tag is no property of ImageArgs"),
        ("random:index/randomPassword:RandomPassword", {}, "length is missing"),
        ("tls:index/privateKey:PrivateKey", {"algorithm": 1.0}, "algorithm is 1.0, not str"),
        ("pulumi:providers:aws", {"defaultTags": '{"tag": {}}'}, "defaultTags.tag is no property"),
    ],
)
def test_wrong_inputs_are_found(kind: str, inputs: dict[str, Any], problem: str) -> None:
    found = wheel_types.problems(programs.bare(kind, inputs))
    assert any(f"{kind} 'it': {problem}" in text for text in found), found


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (SERVICE, {"desiredCount": UNKNOWN, "networkConfiguration": {"subnets": UNKNOWN}}),
        (SERVICE, {"networkConfiguration": {"subnets": [UNKNOWN, "subnet-1"]}}),
        (SERVICE, {"desiredCount": None}),
        (GROUP, {"ingress": [{"protocol": "tcp", "fromPort": 80.0, "toPort": 80.0}]}),
        ("aws:iam/policy:Policy", {"policy": "{}"}),
        ("aws:iam/policy:Policy", {"policy": {"Version": "2012-10-17", "Statement": []}}),
        ("tidegate:components:Api", {"anything": object()}),
        ("pulumi-python:dynamic/infra:Wait", {"anything": 1.0}),
    ],
)
def test_right_inputs_pass(kind: str, inputs: dict[str, Any]) -> None:
    assert wheel_types.problems(programs.bare(kind, inputs)) == []


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (SERVICE, "ServiceArgs"),
        ("awsx:ecr:Image", "ImageArgs"),  # has an argument of its own that is called `args`
        ("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "SecurityGroupEgressRuleArgs"),
        ("pulumi:providers:tls", "ProviderArgs"),
    ],
)
def test_a_tokens_class_of_arguments(token: str, name: str) -> None:
    found = wheel_types.arguments_of(token)
    assert found is not None
    assert found.__name__ == name
