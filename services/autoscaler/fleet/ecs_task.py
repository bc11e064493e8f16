"""What ECS says of a task, read as a machine. Pure: dictionaries as DescribeTasks has them in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.autoscaler.model import Capacity, Ended, Ending, Machine, Phase

FLEET_TAG = "tidegate:fleet"
COMPONENT_TAG = "tidegate:component"
COMPONENT = "worker"
PROVIDERS = {Capacity.SPOT: "FARGATE_SPOT", Capacity.ON_DEMAND: "FARGATE"}

_NO_CAPACITY = "capacity is unavailable"
_QUOTA_REACHED = re.compile(r"reached the limit on the number of (vcpus|tasks)", re.IGNORECASE)
_TASK_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
_ENDINGS = {
    "SpotInterruption": Ending.RECLAIMED,
    "TerminationNotice": Ending.RECLAIMED,
    "UserInitiated": Ending.STOPPED,
    "ServiceSchedulerInitiated": Ending.STOPPED,
    "TaskFailedToStart": Ending.FAILED_TO_START,
    "EssentialContainerExited": Ending.EXITED,
}

Task = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """By what a fleet knows its tasks: all three must fit.

    Attributes:
        fleet: value of the tag `tidegate:fleet`.
        started_by: what RunTask was told.
        family: of the task definition.
    """

    fleet: str
    started_by: str
    family: str

    def owns(self, task: Task) -> bool:
        """Whether a task, described with its tags, is of this fleet."""
        tags = {tag.get("key"): tag.get("value") for tag in task.get("tags", ())}
        return (
            task.get("startedBy") == self.started_by
            and tags.get(FLEET_TAG) == self.fleet
            and tags.get(COMPONENT_TAG) == COMPONENT
            and family_and_revision(task)[0] == self.family
        )


def started_by(fleet: str) -> str:
    """Return what RunTask is told as `startedBy` by the autoscaler of a fleet."""
    return f"tidegate/{fleet}"


def is_task_id(text: str) -> bool:
    """Whether a text can be the id of a task: one that cannot makes ECS refuse the whole call."""
    return _TASK_ID.fullmatch(text) is not None


def task_id(arn: str) -> str:
    """Return the id at the end of a task's ARN."""
    return arn.rpartition("/")[2]


def family_and_revision(task: Task) -> tuple[str, str]:
    """Return what a task was started from."""
    family, _, revision = str(task["taskDefinitionArn"]).rpartition("/")[2].rpartition(":")
    return family, revision


def lacks_capacity(reason: str) -> bool:
    """Whether ECS refused for want of room: Fargate's own, or that of the account's quota for this capacity."""
    return _NO_CAPACITY in reason.lower() or _QUOTA_REACHED.search(reason) is not None


def capacity_of(task: Task) -> Capacity:
    """Return what a task runs on."""
    return Capacity.SPOT if task.get("capacityProviderName") == PROVIDERS[Capacity.SPOT] else Capacity.ON_DEMAND


def stopped(task: Task) -> bool:
    """Whether a task is gone."""
    return bool(task.get("lastStatus") == "STOPPED")


def machine_of(task: Task, now: float) -> Machine:
    """Return the machine of a task that is not gone; `now` stands in for a time of creation that is not told."""
    return Machine(
        id=task_id(task["taskArn"]),
        phase=_phase(task),
        capacity=capacity_of(task),
        revision=family_and_revision(task)[1],
        created_at=_seconds(task, "createdAt") or now,
        billed_from=_seconds(task, "pullStartedAt"),
    )


def ended_of(task: Task, now: float) -> Ended:
    """Return the end of a task that is gone; `now` stands in for a time that is not told."""
    reason = reason_of(task)
    ending = _ENDINGS.get(str(task.get("stopCode", "UserInitiated")), Ending.EXITED)
    if ending is Ending.FAILED_TO_START and lacks_capacity(reason):
        ending = Ending.NO_CAPACITY
    return Ended(task_id(task["taskArn"]), ending, capacity_of(task), reason, _seconds(task, "stoppedAt") or now)


def reason_of(task: Task) -> str:
    """Return why a task ended: ECS's reason, then what it says of the containers."""
    parts = [str(task.get("stoppedReason") or task.get("stopCode") or "ECS gives no reason")]
    for container in task.get("containers", ()):
        about = []
        if "exitCode" in container:
            about.append(f"exit code {container['exitCode']}")
        if container.get("reason"):
            about.append(str(container["reason"]))
        if about:
            parts.append(f"container {container.get('name', '?')!r}: {', '.join(about)}")
    return parts[0] if len(parts) == 1 else "; ".join([parts[0].rstrip("."), *parts[1:]])


def _phase(task: Task) -> Phase:
    if task.get("desiredStatus") == "STOPPED":
        return Phase.STOPPING
    status = task.get("lastStatus")
    if status in _STARTING:
        return Phase.STARTING
    return Phase.RUNNING if status == "RUNNING" else Phase.STOPPING


def _seconds(task: Task, name: str) -> float | None:
    value = task.get(name)
    return None if value is None else float(value.timestamp())
