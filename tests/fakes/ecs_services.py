"""Services of the fake ECS: each keeps one task of its newest deployment running, and never has two.

That is minimum healthy 0, maximum 100 and a desired count of 1 or 0. A task that ends is replaced at once: ECS waits
longer the more have failed. Tasks run on demand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.fakes import ecs_limits as limits
from tests.fakes.ecs_life import NO_CAPACITY, Lives
from tests.fakes.ecs_operations import Operations
from tests.fakes.ecs_task import ACCOUNT, ON_DEMAND, REGION, Definition, FakeTask

BREAKER_THRESHOLD = 3
PLACE_AGAIN = 10.0
EVENTS_MAX = 100


@dataclass(eq=False)
class Deployment:
    """A definition that a service runs, or ran."""

    id: str
    definition: Definition
    created_at: float
    rollout: str = "IN_PROGRESS"
    reason: str = "in progress"
    failed: int = 0


@dataclass(eq=False)
class FakeService:
    """A service; the newest deployment comes first, and so does the newest event."""

    name: str
    breaker: bool
    rollback: bool
    deployments: list[Deployment]
    desired: int = 1
    status: str = "ACTIVE"
    task: FakeTask | None = None
    events: list[tuple[float, str]] = field(default_factory=list)


class Services:
    """All services of the cluster.

    Args:
        operations: start the tasks.
        lives: of the tasks; what they come to moves the services.
        cluster: its name.
    """

    def __init__(self, operations: Operations, lives: Lives, cluster: str) -> None:
        self._operations = operations
        self._lives = lives
        self._cluster = cluster
        self._services: dict[str, FakeService] = {}
        self._numbers = count(1)
        operations.has_service = lambda name: self._known(name) is not None
        lives.on_health = self._health
        lives.on_end = self._ended

    def create(
        self, name: str, definition: Definition, *, breaker: bool = False, rollback: bool = False
    ) -> FakeService:
        """Create a service, which starts its task."""
        self._lives.advance()
        service = FakeService(name, breaker, rollback, [self._deployment(definition)])
        self._services[name] = service
        self._fill(service)
        return service

    def update(self, name: str, definition: Definition | None = None, desired: int | None = None) -> None:
        """Deploy a definition, or set the desired count."""
        self._lives.advance()
        service = self._services[name]
        if definition is not None:
            service.deployments.insert(0, self._deployment(definition))
        if desired is not None:
            service.desired = desired
        self._scale_in(service)
        self._fill(service)

    def delete(self, name: str) -> None:
        """Delete a service and stop its task."""
        self._lives.advance()
        service = self._services[name]
        service.status, service.desired = "INACTIVE", 0
        self._scale_in(service)

    def describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """DescribeServices; one that was deleted is told of as INACTIVE."""
        limits.check_services(parameters["services"])
        answer: dict[str, list[Any]] = {"services": [], "failures": []}
        for name in parameters["services"]:
            service = self._services.get(name.rpartition("/")[2])
            if service is None:
                answer["failures"].append({"arn": self._arn(name.rpartition("/")[2]), "reason": "MISSING"})
            else:
                answer["services"].append(self._describe(service))
        return answer

    # ---- what moves a service ----

    def _health(self, task: FakeTask) -> None:
        service = self._of(task)
        if service is None:
            return
        if task.health == "HEALTHY":
            deployment = self._deployment_of(service, task)
            deployment.failed = 0
            deployment.rollout, deployment.reason = "COMPLETED", f"ECS deployment {deployment.id} completed."
            del service.deployments[1:]
            self._tell(service, "has reached a steady state.")
        else:
            self._stop(task, "Task failed container health checks")

    def _ended(self, task: FakeTask) -> None:
        service = self._of(task)
        if service is None:
            return
        service.task = None
        deployment = self._deployment_of(service, task)
        if deployment.rollout == "IN_PROGRESS" and deployment is service.deployments[0]:
            deployment.failed += 1
            if service.breaker and deployment.failed >= BREAKER_THRESHOLD:
                self._break(service, deployment)
        self._fill(service)

    def _break(self, service: FakeService, deployment: Deployment) -> None:
        deployment.rollout = "FAILED"
        deployment.reason = "ECS deployment circuit breaker: tasks failed to start."
        self._tell(service, f"(deployment {deployment.id}) deployment failed: tasks failed to start.")
        before = [one for one in service.deployments if one.rollout == "COMPLETED"]
        if service.rollback and before:
            self._tell(service, f"rolling back to deployment {before[0].id}.")
            service.deployments.insert(0, self._deployment(before[0].definition))

    def _fill(self, service: FakeService) -> None:
        """Start a task where one is wanted and none is."""
        newest = service.deployments[0]
        if service.task is not None or not service.desired or newest.rollout == "FAILED":
            return
        if not self._operations.room(ON_DEMAND, 1):
            self._tell(service, f"was unable to place a task. Reason: {NO_CAPACITY}.")
            self._lives.later(self._lives.now + PLACE_AGAIN, lambda: self._fill(service))
            return
        parameters = {"group": f"service:{service.name}", "startedBy": newest.id, "launchType": ON_DEMAND}
        service.task = self._operations.start(newest.definition, None, parameters)
        self._tell(service, f"has started 1 tasks: (task {service.task.id}).")

    def _scale_in(self, service: FakeService) -> None:
        """Stop the task where it is of an older deployment, or none is wanted."""
        task = service.task
        if task is not None and (not service.desired or task.definition is not service.deployments[0].definition):
            self._stop(task, f"Scaling activity initiated by (deployment {service.deployments[0].id})")

    def _stop(self, task: FakeTask, reason: str) -> None:
        self._lives.stop(task, "ServiceSchedulerInitiated", reason, task.definition.stop_timeout)

    # ---- what is known ----

    def _known(self, name: str) -> FakeService | None:
        service = self._services.get(name)
        return service if service is not None and service.status == "ACTIVE" else None

    def _of(self, task: FakeTask) -> FakeService | None:
        group = str(task.parameters.get("group", ""))
        return self._services.get(group.removeprefix("service:")) if group.startswith("service:") else None

    def _deployment(self, definition: Definition) -> Deployment:
        return Deployment(f"ecs-svc/{next(self._numbers):019d}", definition, self._lives.now)

    def _deployment_of(self, service: FakeService, task: FakeTask) -> Deployment:
        same = (one for one in service.deployments if one.id == task.parameters["startedBy"])
        return next(same, service.deployments[-1])

    def _tell(self, service: FakeService, message: str) -> None:
        service.events.insert(0, (self._lives.now, f"(service {service.name}) {message}"))
        del service.events[EVENTS_MAX:]

    def _arn(self, name: str) -> str:
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/{self._cluster}/{name}"

    def _describe(self, service: FakeService) -> dict[str, Any]:
        running = int(service.task is not None and service.task.status == "RUNNING")
        return {
            "serviceArn": self._arn(service.name),
            "serviceName": service.name,
            "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{self._cluster}",
            "status": service.status,
            "desiredCount": service.desired,
            "runningCount": running,
            "pendingCount": int(service.task is not None) - running,
            "taskDefinition": service.deployments[0].definition.arn,
            "deployments": [
                {
                    "id": deployment.id,
                    "status": "ACTIVE" if number else "PRIMARY",
                    "taskDefinition": deployment.definition.arn,
                    "createdAt": datetime.fromtimestamp(deployment.created_at, UTC),
                    "failedTasks": deployment.failed,
                    "rolloutState": deployment.rollout,
                    "rolloutStateReason": deployment.reason,
                }
                for number, deployment in enumerate(service.deployments)
            ],
            "events": [
                {"id": f"{at}-{number}", "createdAt": datetime.fromtimestamp(at, UTC), "message": message}
                for number, (at, message) in enumerate(service.events)
            ],
        }
