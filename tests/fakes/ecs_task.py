"""One task of the fake ECS: what it was asked for, when it did what, and how ECS describes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

REGION = "eu-central-1"
ACCOUNT = "123456789012"
MINIMUM_BILL = 60
SPOT = "FARGATE_SPOT"
ON_DEMAND = "FARGATE"


@dataclass
class Definition:
    """A revision of a task definition, with one container.

    Attributes:
        family: of the definition.
        revision: of the definition.
        command: what the container runs; the bridge to processes runs it.
        environment: of the container.
        stop_timeout: seconds from SIGTERM to SIGKILL, at most 120.
        vcpu: of the task.
        memory: of the task, in MiB.
        active: whether new tasks may be started from it.
        health_after: seconds from RUNNING until the container's health check has answered; None: it has none.
        healthy: what the health check answers.
        tags: of the definition, which RunTask may pass on to tasks.
    """

    family: str
    revision: int
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_timeout: float = 120.0
    vcpu: float = 1.0
    memory: int = 2048
    active: bool = True
    health_after: float | None = None
    healthy: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{self.family}:{self.revision}"


@dataclass(eq=False)
class FakeTask:
    """A task, ever; times are seconds since the epoch, None while it has not come to that.

    Attributes:
        id: 32 hexadecimal digits.
        cluster: name.
        definition: what it was started from.
        provider: capacity provider; None when started with a launch type.
        parameters: of the RunTask that started it.
        fate: why it will fail to start; None: it will not.
        status: `lastStatus`.
        desired: `desiredStatus`.
        health: `healthStatus` of the container.
    """

    id: str
    cluster: str
    definition: Definition
    provider: str | None
    parameters: Mapping[str, Any]
    created_at: float
    fate: str | None = None
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    health: str = "UNKNOWN"
    pull_started_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    exit_reason: str | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{self.cluster}/{self.id}"

    @property
    def cluster_arn(self) -> str:
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{self.cluster}"

    @property
    def pool(self) -> str:
        """The capacity that it takes from."""
        return self.provider or ON_DEMAND

    @property
    def spot(self) -> bool:
        return self.provider == SPOT

    @property
    def ip(self) -> str:
        """Private address of its network interface."""
        return "10." + ".".join(str(part) for part in bytes.fromhex(self.id[:6]))

    def billed_seconds(self, now: float) -> int:
        """Seconds on the bill until now: from the pull to the end, whole seconds, one minute at least."""
        if self.pull_started_at is None:
            return 0
        end = now if self.stopped_at is None else self.stopped_at
        return max(MINIMUM_BILL, math.ceil(round(end - self.pull_started_at, 6)))

    def describe(self, *, tags: bool = False) -> dict[str, Any]:
        """As DescribeTasks answers, with the tags when they are asked for."""
        parameters = self.parameters
        answer: dict[str, Any] = {
            "taskArn": self.arn,
            "clusterArn": self.cluster_arn,
            "taskDefinitionArn": self.definition.arn,
            "group": parameters.get("group", f"family:{self.definition.family}"),
            "startedBy": parameters.get("startedBy"),
            "launchType": ON_DEMAND,
            "capacityProviderName": self.provider,
            "platformVersion": "1.4.0",
            "cpu": str(int(self.definition.vcpu * 1024)),
            "memory": str(self.definition.memory),
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "createdAt": _moment(self.created_at),
            "pullStartedAt": _moment(self.pull_started_at),
            "startedAt": _moment(self.started_at),
            "stoppingAt": _moment(self.stopping_at),
            "stoppedAt": _moment(self.stopped_at),
            "stopCode": self.stop_code,
            "stoppedReason": self.stopped_reason,
            "containers": [self._container()],
            "attachments": [self._interface()],
            "tags": [dict(tag) for tag in parameters.get("tags", ())] if tags else [],
        }
        return {name: value for name, value in answer.items() if value is not None}

    def _container(self) -> dict[str, Any]:
        status = self.status if self.status in {"RUNNING", "STOPPED"} else "PENDING"
        container = {
            "name": self.definition.family,
            "taskArn": self.arn,
            "lastStatus": status,
            "exitCode": self.exit_code,
            "reason": self.exit_reason,
            "healthStatus": self.health,
        }
        return {name: value for name, value in container.items() if value is not None}

    def _interface(self) -> dict[str, Any]:
        interface = {"id": f"eni-of-{self.id}", "type": "ElasticNetworkInterface"}
        if self.status == "PROVISIONING":
            return {**interface, "status": "PRECREATED", "details": []}
        status = "DELETED" if self.status == "STOPPED" else "ATTACHED"
        details = [{"name": "subnetId", "value": "subnet-1"}, {"name": "privateIPv4Address", "value": self.ip}]
        return {**interface, "status": status, "details": details}


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
