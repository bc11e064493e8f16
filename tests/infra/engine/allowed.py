"""What IAM's documents allow, as far as the stack's have it: actions, resources, a few conditions; nothing denies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.infra.engine.gateway import Call
from tests.infra.engine.harness import Cloud

ACCOUNT = "us-east-1:123456789012"
OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "ArnEquals": lambda value, wanted: value == wanted,
}
"""How a condition compares; others are refused."""


@dataclass(frozen=True, slots=True)
class Need:
    """What must be allowed for a call.

    Attributes:
        action: of IAM.
        resource: ARN, or `*` of an action that knows none.
        context: values of condition keys.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def allowed_by(self, statement: Mapping[str, Any]) -> bool:
        """Whether a statement allows it."""
        return (
            self.action in listed(statement["Action"])
            and any(fnmatchcase(self.resource, pattern) for pattern in listed(statement["Resource"]))
            and all(
                key in self.context and any(OPERATORS[operator](self.context[key], each) for each in listed(wanted))
                for operator, keys in statement.get("Condition", {}).items()
                for key, wanted in keys.items()
            )
        )


def needs(call: Call, aws: Cloud) -> Iterator[Need]:
    """What AWS checks when a call comes."""
    service, _, operation = call.action.partition(":")
    yield from {"ecs": _of_ecs, "s3": _of_s3, "logs": _of_logs}.get(service, _of_one)(operation, call, aws)


def _of_ecs(operation: str, call: Call, aws: Cloud) -> Iterator[Need]:
    told = call.parameters
    ecs = aws.client("ecs")
    cluster = {"ecs:cluster": told["cluster"]}
    if operation == "RunTask":
        definition = ecs.describe_task_definition(taskDefinition=told["taskDefinition"])["taskDefinition"]
        yield Need(call.action, definition["taskDefinitionArn"], cluster)
        for role in ("taskRoleArn", "executionRoleArn"):
            yield Need("iam:PassRole", definition[role], {"iam:PassedToService": "ecs-tasks.amazonaws.com"})
        for task in call.answer["tasks"] if told.get("tags") else ():
            yield Need("ecs:TagResource", task["taskArn"], {"ecs:CreateAction": "RunTask"})
    elif operation == "ListTasks":
        yield Need(call.action, "*", cluster)
    else:
        prefix = told["cluster"].replace(":cluster/", ":task/")
        for task in told["tasks"] if operation == "DescribeTasks" else [told["task"]]:
            arn = task if task.startswith("arn:") else f"{prefix}/{task}"
            (found,) = ecs.describe_tasks(cluster=told["cluster"], tasks=[arn], include=["TAGS"])["tasks"]
            tags = {f"aws:ResourceTag/{each['key']}": each["value"] for each in found["tags"]}
            yield Need(call.action, arn, {**cluster, **tags})


def _of_s3(operation: str, call: Call, _: Cloud) -> Iterator[Need]:
    name = "" if operation == "ListBucket" else f"/{call.parameters['Key']}"
    yield Need(call.action, f"arn:aws:s3:::{call.parameters['Bucket']}{name}")


def _of_logs(_operation: str, call: Call, _: Cloud) -> Iterator[Need]:
    group, stream = call.parameters["logGroupName"], call.parameters["logStreamName"]
    yield Need(call.action, f"arn:aws:logs:{ACCOUNT}:log-group:{group}:log-stream:{stream}")


def _of_one(_operation: str, call: Call, _: Cloud) -> Iterator[Need]:
    resources: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
        "ecr:BatchGetImage": lambda told: f"arn:aws:ecr:{ACCOUNT}:repository/{told['repositoryName']}",
        "ecr:GetAuthorizationToken": lambda _: "*",
        "secretsmanager:GetSecretValue": lambda told: str(told["SecretId"]),
        "servicequotas:GetServiceQuota": lambda told: (
            f"arn:aws:servicequotas:{ACCOUNT}:{told['ServiceCode']}/{told['QuotaCode']}"
        ),
    }
    yield Need(call.action, resources[call.action](call.parameters))


def statements(aws: Cloud, role: str) -> list[dict[str, Any]]:
    """All statements of a role's documents."""
    iam = aws.client("iam")
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == [], "documents are the role's own here"
    found: list[dict[str, Any]] = []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        found += (json.loads(document) if isinstance(document, str) else document)["Statement"]
    assert all(each["Effect"] == "Allow" for each in found), "nothing is denied here"
    return found


def listed(value: Any) -> list[str]:
    """One or several, as a list."""
    return [value] if isinstance(value, str) else list(value)
