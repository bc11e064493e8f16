"""What the autoscaler's role must be allowed to do: the one list, from which the infrastructure makes its policy.

Nothing is imported but the standard library, so that an infrastructure program can read it without the service.
Values in braces are the deployment's: `{cluster_arn}` and `{fleet_name}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What an action is allowed on."""

    ANY = "any"
    """`*`: the action knows no resources; its condition narrows it."""
    WORKER_DEFINITION = "worker_definition"
    """Every revision of the workers' task definition: a launch that is made again names the revision it had."""
    CLUSTER_TASKS = "cluster_tasks"
    """All tasks in the cluster: their ids are not known beforehand."""
    WORKER_ROLES = "worker_roles"
    """The task role and the execution role of the workers' task definition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a policy statement.

    Attributes:
        operator: of IAM.
        key: condition key.
        value: that it must have.
    """

    operator: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Permission:
    """One allowed action.

    Attributes:
        action: of IAM.
        resource: what it is allowed on.
        why: what the autoscaler needs it for.
        condition: under which it is allowed, if any.
    """

    action: str
    resource: Resource
    why: str
    condition: Condition | None = None


_IN_CLUSTER = Condition("ArnEquals", "ecs:cluster", "{cluster_arn}")
_OF_FLEET = Condition("StringEquals", "aws:ResourceTag/tidegate:fleet", "{fleet_name}")

PERMISSIONS = (
    Permission("ecs:RunTask", Resource.WORKER_DEFINITION, "start workers", _IN_CLUSTER),
    Permission(
        "ecs:TagResource",
        Resource.CLUSTER_TASKS,
        "mark workers as this fleet's, when they are started and at no other time",
        Condition("StringEquals", "ecs:CreateAction", "RunTask"),
    ),
    Permission(
        "iam:PassRole",
        Resource.WORKER_ROLES,
        "start workers under the roles of their definition",
        Condition("StringEquals", "iam:PassedToService", "ecs-tasks.amazonaws.com"),
    ),
    Permission("ecs:StopTask", Resource.CLUSTER_TASKS, "retire workers of this fleet", _OF_FLEET),
    Permission("ecs:ListTasks", Resource.ANY, "find the workers that run", _IN_CLUSTER),
    Permission("ecs:DescribeTasks", Resource.CLUSTER_TASKS, "see their states, and why they ended", _IN_CLUSTER),
    Permission("servicequotas:GetServiceQuota", Resource.ANY, "hold WORKERS_MAX against Fargate's vCPU quotas"),
)

WITHOUT_CALL = frozenset({"ecs:TagResource", "iam:PassRole"})
"""Actions that AWS checks within RunTask; no call of their own is made."""
