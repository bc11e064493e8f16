"""IAM documents, pure: ARNs in, documents out. Who needs what, and why, is readable here and nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.autoscaler.permissions import PERMISSIONS, Resource

WITHOUT_RESOURCE: Final[Mapping[str, str]] = {
    "ecr:GetAuthorizationToken": "a token is for a whole registry",
    "ecs:ListTasks": "listing knows no tasks beforehand; the condition names the cluster",
    "servicequotas:GetServiceQuota": "quotas are the account's",
    "ssmmessages:CreateControlChannel": "ECS Exec's channels have no names",
    "ssmmessages:CreateDataChannel": "ECS Exec's channels have no names",
    "ssmmessages:OpenControlChannel": "ECS Exec's channels have no names",
    "ssmmessages:OpenDataChannel": "ECS Exec's channels have no names",
}
"""Actions that are allowed on `*`, each with its reason; the policy pack refuses any other."""

_ECR = re.compile(r"^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+?)(?:[:@].+)?$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is allowed.

    Attributes:
        actions: of IAM.
        resources: ARNs.
        condition: as IAM writes it; empty for none.

    Raises:
        ValueError: an action is allowed on `*` without a reason in `WITHOUT_RESOURCE`.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    condition: Mapping[str, Mapping[str, str | Sequence[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for action in self.actions if "*" in self.resources else ():
            if action not in WITHOUT_RESOURCE:
                raise ValueError(f"{action} is allowed on *: name resources, or give the reason in WITHOUT_RESOURCE")

    def as_json(self) -> dict[str, Any]:
        """The statement as IAM has it."""
        made: dict[str, Any] = {"Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources)}
        return {**made, "Condition": dict(self.condition)} if self.condition else made


def document(statements: Sequence[Statement]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement.as_json() for statement in statements]})


def trust(service: str, account: str) -> str:
    """Who may take a role: one AWS service, for this account only.

    Args:
        service: such as `ecs-tasks.amazonaws.com`.
        account: id of this account, against a confused deputy.
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def execution(log_group: str, images: Sequence[str], secrets: Sequence[str], partition: str) -> list[Statement]:
    """What ECS itself does for a task: fetch its image and secrets, write its logs.

    Args:
        log_group: ARN of its log group.
        images: URIs of its images; those outside ECR need nothing.
        secrets: ARNs of the secrets that its containers get.
        partition: of AWS, such as `aws`.
    """
    statements = [Statement(("logs:CreateLogStream", "logs:PutLogEvents"), (f"{log_group}:*",))]
    repositories = sorted({arn for image in images if (arn := repository_arn(image, partition))})
    if repositories:
        pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
        statements += [Statement(("ecr:GetAuthorizationToken",), ("*",)), Statement(pull, repositories)]
    if secrets:
        statements.append(Statement(("secretsmanager:GetSecretValue",), sorted(set(secrets))))
    return statements


def repository_arn(image: str, partition: str) -> str | None:
    """ARN of the ECR repository that an image is in; None for an image from elsewhere."""
    match = _ECR.match(image)
    return f"arn:{partition}:ecr:{match[2]}:{match[1]}:repository/{match[3]}" if match else None


def shell() -> list[Statement]:
    """ECS Exec: what its agent in the container needs."""
    actions = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")
    return [Statement(tuple(f"ssmmessages:{action}" for action in actions), ("*",))]


def read_results(bucket: str) -> list[Statement]:
    """The API: hand out large results. Listing makes a missing object a 404 instead of a 403."""
    return [Statement(("s3:GetObject",), (f"{bucket}/*",)), Statement(("s3:ListBucket",), (bucket,))]


def write_results(bucket: str) -> list[Statement]:
    """A worker: store large results, and delete those of an attempt that came too late. It reads none."""
    return [Statement(("s3:DeleteObject", "s3:PutObject"), (f"{bucket}/*",))]


def use_files(file_system: str, access_point: str) -> list[Statement]:
    """A worker: the shared file system, through its access point only."""
    actions = ("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite")
    condition = {"StringEquals": {"elasticfilesystem:AccessPointArn": access_point}}
    return [Statement(actions, (file_system,), condition)]


def scale(cluster: str, worker_definition: str, worker_roles: Sequence[str], fleet_name: str) -> list[Statement]:
    """The autoscaler: what its own list says.

    Args:
        cluster: ARN.
        worker_definition: ARN of a revision of the workers' task definition; all of its revisions are meant.
        worker_roles: ARNs of the workers' task and execution role.
        fleet_name: value of the workers' fleet tag.
    """
    resources = {
        Resource.ANY: ("*",),
        Resource.WORKER_DEFINITION: (f"{worker_definition.rpartition(':')[0]}:*",),
        Resource.CLUSTER_TASKS: (f"{cluster.replace(':cluster/', ':task/')}/*",),
        Resource.WORKER_ROLES: tuple(worker_roles),
    }
    values = {"cluster_arn": cluster, "fleet_name": fleet_name}
    statements = []
    for permission in PERMISSIONS:
        condition = permission.condition
        wanted = {} if condition is None else {condition.operator: {condition.key: condition.value.format(**values)}}
        statements.append(Statement((permission.action,), resources[permission.resource], wanted))
    return statements


def encrypted_only(bucket: str) -> str:
    """Policy of a bucket: nobody reaches it in the clear."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def alarms_may_publish(topic: str, account: str) -> str:
    """Policy of an SNS topic: CloudWatch's alarms of this account may publish."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
