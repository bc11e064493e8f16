"""What ECS says of a service and its tasks, judged. Pure: dictionaries of its Describe calls in, values out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.autoscaler.fleet.ecs_task import Task, reason_of, task_id

STOPS_MAX = 5
"""Tasks of one definition that may stop, one after the other, until nobody waits for the next."""
_TOLD = 3
"""Stopped tasks, and events, that an error tells of."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for.

    Attributes:
        task_definition: ARN with its revision.
        container: whose health counts.
    """

    task_definition: str
    container: str


@dataclass(frozen=True, slots=True)
class Found:
    """A task that is ready.

    Attributes:
        task_arn: of the task.
        ip: private address of its network interface.
    """

    task_arn: str
    ip: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A service, as it was seen at one time; tasks are those of the wanted definition, the newest first.

    Attributes:
        service: as DescribeServices tells it.
        alive: tasks that should run.
        stopped: tasks that have stopped within the last hour.
    """

    service: Mapping[str, Any]
    alive: Sequence[Task]
    stopped: Sequence[Task] = ()


def seen_of(service: Mapping[str, Any], tasks: Sequence[Task], wanted: Wanted) -> Seen:
    """Sort what was described."""
    ours = [task for task in tasks if task.get("taskDefinitionArn") == wanted.task_definition]
    alive = [task for task in ours if task.get("desiredStatus") != "STOPPED" and task.get("lastStatus") != "STOPPED"]
    stopped = [task for task in ours if task.get("lastStatus") == "STOPPED"]
    return Seen(service, _newest_first(alive, "createdAt"), _newest_first(stopped, "stoppedAt"))


def ready(seen: Seen, wanted: Wanted) -> Found | None:
    """Return the newest task that runs, is healthy and has an address."""
    for task in seen.alive:
        container = _container(task, wanted.container) or {}
        ip = private_ip(task)
        if task.get("lastStatus") == "RUNNING" and container.get("healthStatus") == "HEALTHY" and ip:
            return Found(str(task["taskArn"]), ip)
    return None


def hopeless(seen: Seen, wanted: Wanted, before: frozenset[str]) -> str | None:
    """Say why no task will ever be ready; None: one may be.

    Args:
        seen: the service now.
        wanted: what is waited for.
        before: ARNs of tasks that had stopped when the wait began: whoever waits again may have cured their reason.
    """
    if failure := _failed_deployment(seen, wanted):
        return (
            f"its deployment has failed ({failure}), and ECS starts no more tasks of it until it is deployed again: "
            "change the definition, or `aws ecs update-service --force-new-deployment`"
        )
    for task in seen.alive:
        if task.get("containers") and _container(task, wanted.container) is None:
            names = ", ".join(sorted(str(container.get("name")) for container in task["containers"]))
            return f"its tasks have no container {wanted.container!r}, only {names}: name the one that is to be healthy"
    if sum(task["taskArn"] not in before for task in seen.stopped) >= STOPS_MAX:
        return f"{STOPS_MAX} tasks of it have stopped, one after the other"
    return None


def astray(seen: Seen, wanted: Wanted) -> str | None:
    """Say why the service will start no such task, if that does not change soon; None: it will."""
    now = seen.service.get("taskDefinition")
    if now not in (None, wanted.task_definition):
        return (
            f"the service runs {now}: ECS has rolled it back, or somebody else has changed it. "
            "Compare with `pulumi refresh`"
        )
    if seen.service.get("desiredCount") == 0:
        return "the service wants no tasks (desiredCount is 0): give it one"
    if seen.service.get("status", "ACTIVE") != "ACTIVE":
        return f"the service is {seen.service['status']}: it is being deleted"
    return None


def private_ip(task: Task) -> str | None:
    """Return the private IPv4 address of a task's network interface, once it is attached."""
    for attachment in task.get("attachments", ()):
        if attachment.get("type") == "ElasticNetworkInterface":
            for detail in attachment.get("details", ()):
                if detail.get("name") == "privateIPv4Address" and detail.get("value"):
                    return str(detail["value"])
    return None


def report(seen: Seen, wanted: Wanted) -> str:
    """Tell in ECS's own words how the service is: tasks, ends of tasks, events; a line each."""
    lines = [f"task {task_id(task['taskArn'])}: {_state(task, wanted.container)}" for task in seen.alive[:_TOLD]]
    lines += [f"task {task_id(task['taskArn'])} has stopped: {reason_of(task)}" for task in seen.stopped[:_TOLD]]
    events = seen.service.get("events", ())
    lines += [f"event at {event.get('createdAt')}: {event.get('message')}" for event in events[:_TOLD]]
    return "\n".join(f"  {line}" for line in lines or ["ECS tells of no task and of no event"])


def _failed_deployment(seen: Seen, wanted: Wanted) -> str | None:
    """Return why ECS gave the definition up; a deployment that failed before a newer one of it does not count."""
    all_ = seen.service.get("deployments", ())
    ours = [deployment for deployment in all_ if deployment.get("taskDefinition") == wanted.task_definition]
    newest = [deployment for deployment in ours if deployment.get("status") == "PRIMARY"] or ours
    for deployment in newest:
        if deployment.get("rolloutState") == "FAILED":
            return str(deployment.get("rolloutStateReason") or "ECS gives no reason")
    return None


def _state(task: Task, name: str) -> str:
    container = _container(task, name) or {}
    health = container.get("healthStatus", "UNKNOWN")
    hint = (
        " (has its definition a health check?)" if health == "UNKNOWN" and task.get("lastStatus") == "RUNNING" else ""
    )
    return f"{task.get('lastStatus')}, container {name!r} is {health}{hint}"


def _container(task: Task, name: str) -> Mapping[str, Any] | None:
    return next((container for container in task.get("containers", ()) if container.get("name") == name), None)


def _newest_first(tasks: Sequence[Task], moment: str) -> Sequence[Task]:
    """Sort by a time; tasks without it, which have not come to it, are the newest."""

    def at(task: Task) -> float:
        return float(task[moment].timestamp()) if task.get(moment) else math.inf

    return sorted(tasks, key=at, reverse=True)
