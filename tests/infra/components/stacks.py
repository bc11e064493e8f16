"""What tests of components read of a recorded stack.

They get it from the fixture `stack`, by the name of a combination of settings: a test that is a function of graphs can
also be given graphs that are wrong, which `test_mutants.py` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.infra.graph import Graph, Recorded

Stacks = Callable[[str], Graph]
"""The recorded stack with a combination of settings (`tests.infra.program.COMBINATIONS`)."""

PREFIX = "tidegate-dev-"
SERVICE = "aws:ecs/service:Service"
TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"


def short(resource: Recorded) -> str:
    """Its name within the stack."""
    return resource.name.removeprefix(PREFIX)


def task_definitions(graph: Graph) -> Mapping[str, Recorded]:
    """Task definitions by service."""
    return {short(each): each for each in graph.of(TASK_DEFINITION)}


def containers(graph: Graph) -> Mapping[str, dict[str, Any]]:
    """The one container of each task definition, by service."""
    found = {}
    for name, definition in task_definitions(graph).items():
        (found[name],) = json.loads(definition.inputs["containerDefinitions"])
    return found


def services(graph: Graph) -> Mapping[str, Recorded]:
    """ECS services by name."""
    return {short(each): each for each in graph.of(SERVICE)}


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    """Variables of a container that are in the clear."""
    return {each["name"]: each["value"] for each in container["environment"]}


def rules_of(graph: Graph, group: str) -> list[Recorded]:
    """Rules of a service's security group, in and out."""
    kinds = ("SecurityGroupIngressRule", "SecurityGroupEgressRule")
    own = group_id(graph, group)
    return [each for kind in kinds for each in graph.of(kind) if each.inputs["securityGroupId"] == own]


def role(graph: Graph, arn: str) -> Recorded:
    """The role with an ARN."""
    (found,) = (each for each in graph.of("aws:iam/role:Role") if each.outputs["arn"] == arn)
    return found


def allowed(graph: Graph, arn: str) -> Mapping[str, set[str]]:
    """What a role may do: resources by action."""
    found: dict[str, set[str]] = {}
    for statement in statements(graph, arn):
        for action in statement["Action"]:
            found.setdefault(action, set()).update(statement["Resource"])
    return found


def statements(graph: Graph, arn: str) -> list[dict[str, Any]]:
    """Statements of all policies of a role."""
    name = role(graph, arn).id
    policies = [each for each in graph.of("aws:iam/rolePolicy:RolePolicy") if each.inputs["role"] == name]
    return [statement for each in policies for statement in json.loads(each.inputs["policy"])["Statement"]]


def group_id(graph: Graph, service: str) -> str:
    """Id of a service's security group."""
    return graph.one("aws:ec2/securityGroup:SecurityGroup", f"{PREFIX}{service}-sg").id


def private_subnets(graph: Graph) -> list[str]:
    """Ids of the subnets for tasks."""
    outputs = graph.one("awsx:ec2:Vpc").outputs
    return list(outputs["privateSubnetIds"] or outputs["isolatedSubnetIds"])
