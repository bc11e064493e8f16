"""What the fake ECS answers: its operations on tasks, without calls being counted, throttled or lost."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.fakes import ecs_limits as limits
from tests.fakes.ecs_life import NO_CAPACITY, Lives
from tests.fakes.ecs_limits import Bucket, Limits, client_error, invalid
from tests.fakes.ecs_task import ACCOUNT, ON_DEMAND, REGION, SPOT, Definition, FakeTask

DESCRIBABLE = 3600.0
"""Seconds for which a stopped task can be described."""


class Operations:
    """Answers calls that are well-formed, and keeps what they need: definitions, tasks, tokens, pages.

    Attributes:
        tasks: all that ever were, by id.
        capacity: tasks that each provider has room for at the same time; None: any number.
        capacity_raises: whether a RunTask without any room raises, instead of telling failures.
        list_lag: seconds until a task shows up in ListTasks.
        describe_lag: seconds until a task can be described.
        latency: draws the seconds from RunTask to RUNNING.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        lives: Lives,
        quotas: Limits,
        *,
        cluster: str,
        latency: Callable[[random.Random], float],
        chance: random.Random,
    ) -> None:
        self.cluster = cluster
        self.latency = latency
        self.list_lag = 0.0
        self.describe_lag = 0.0
        self.tasks: dict[str, FakeTask] = {}
        self.capacity: dict[str, int | None] = {SPOT: None, ON_DEMAND: None}
        self.capacity_raises = False
        self.definitions: dict[tuple[str, int], Definition] = {}
        self.fates: deque[str] = deque()
        self.fate: str | None = None
        self._lives = lives
        self._lives.on_unlist = self._unlist
        self._chance = chance
        self._clock = clock
        self._launch = {provider: Bucket(quotas.launch, clock) for provider in self.capacity}
        self._tokens: dict[str, tuple[Mapping[str, Any], list[FakeTask]]] = {}
        self._listed: dict[str, dict[str, FakeTask]] = defaultdict(dict)
        self._pages: dict[str, list[str]] = {}
        self.has_service: Callable[[str], bool] = lambda name: False

    def run(self, parameters: dict[str, Any]) -> dict[str, Any]:
        limits.check_run(parameters)
        definition = self._definition(parameters["taskDefinition"])
        provider = self._provider(parameters)
        tags = limits.tags_of_task(parameters, definition.tags)
        token = parameters.get("clientToken")
        if token in self._tokens:
            before, tasks = self._tokens[token]
            if before != parameters:
                message = "The provided clientToken is already in use with a different RunTask request."
                raise client_error("RunTask", "ConflictException", message, resourceIds=[task.arn for task in tasks])
            return {"tasks": [task.describe(tags=True) for task in tasks], "failures": []}
        count = parameters.get("count", 1)
        if not self._launch[provider or ON_DEMAND].take(count):
            raise client_error("RunTask", "ThrottlingException", "Rate exceeded")
        room = self.room(provider or ON_DEMAND, count)
        if not room and self.capacity_raises:
            raise client_error("RunTask", "ClientException", f"{NO_CAPACITY}.")
        tasks = [self.start(definition, provider, {**parameters, "tags": tags}) for _ in range(room)]
        if token and tasks:
            self._tokens[token] = parameters, tasks
        failures = [{"reason": f"{NO_CAPACITY}."} for _ in range(count - room)]
        return {"tasks": [task.describe(tags=True) for task in tasks], "failures": failures}

    def stop(self, parameters: dict[str, Any]) -> dict[str, Any]:
        limits.check_tasks("StopTask", [parameters["task"]])
        reason = parameters.get("reason", "")
        limits.check_reason(reason)
        task = self._find(parameters["task"])
        if task is None:
            raise invalid("StopTask", "The referenced task was not found.")
        self._lives.stop(task, "UserInitiated", reason or "Task stopped by user", task.definition.stop_timeout)
        return {"task": task.describe()}

    def list(self, parameters: dict[str, Any]) -> dict[str, Any]:
        limits.check_list(parameters)
        if "serviceName" in parameters and not self.has_service(parameters["serviceName"]):
            raise client_error("ListTasks", "ServiceNotFoundException", "Service not found.")
        size = parameters.get("maxResults", limits.PAGE_MAX)
        token = parameters.get("nextToken")
        if token is None:
            arns = [task.arn for task in self._matching(parameters)]
        elif token in self._pages:
            arns = self._pages.pop(token)
        else:
            raise invalid("ListTasks", "Invalid token.")
        answer: dict[str, Any] = {"taskArns": arns[:size]}
        if len(arns) > size:
            answer["nextToken"] = f"{self._chance.getrandbits(128):032x}"
            self._pages[answer["nextToken"]] = arns[size:]
        return answer

    def describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        limits.check_tasks("DescribeTasks", parameters["tasks"])
        tags = "TAGS" in parameters.get("include", ())
        answer: dict[str, list[Any]] = {"tasks": [], "failures": []}
        for name in dict.fromkeys(parameters["tasks"]):
            task = self._find(name)
            if task is None or self._clock() < task.created_at + self.describe_lag:
                arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{self.cluster}/{name.rpartition('/')[2]}"
                answer["failures"].append({"arn": arn, "reason": "MISSING"})
            else:
                answer["tasks"].append(task.describe(tags=tags))
        return answer

    def check_cluster(self, operation: str, parameters: Mapping[str, Any]) -> None:
        if parameters.get("cluster", "default").rpartition("/")[2] != self.cluster:
            raise client_error(operation, "ClusterNotFoundException", "Cluster not found.")

    def room(self, pool: str, count: int) -> int:
        """How many of so many tasks a provider has room for."""
        limit = self.capacity[pool]
        return count if limit is None else max(0, min(count, limit - self._lives.alive[pool]))

    def start(self, definition: Definition, provider: str | None, parameters: Mapping[str, Any]) -> FakeTask:
        """Start one task now, which there is room for."""
        name = f"{self._chance.getrandbits(128):032x}"
        fate = self.fates.popleft() if self.fates else self.fate
        task = FakeTask(name, self.cluster, definition, provider, parameters, self._lives.now, fate)
        self.tasks[name] = task
        self._listed[parameters.get("startedBy", "")][name] = task
        self._lives.begin(task, self.latency(self._chance))
        return task

    def _definition(self, name: str) -> Definition:
        family, _, revision = name.rpartition("/")[2].partition(":")
        if revision:
            found = self.definitions.get((family, int(revision) if revision.isdigit() else -1))
        else:
            found = max(
                (one for one in self.definitions.values() if one.family == family and one.active),
                key=lambda one: one.revision,
                default=None,
            )
        if found is None:
            raise client_error("RunTask", "ClientException", "TaskDefinition not found.")
        if not found.active:
            raise client_error("RunTask", "ClientException", "TaskDefinition is inactive")
        return found

    def _provider(self, parameters: Mapping[str, Any]) -> str | None:
        if "launchType" in parameters:
            return None
        name: str = parameters["capacityProviderStrategy"][0]["capacityProvider"]
        if name not in self.capacity:
            raise invalid("RunTask", f"The specified capacity provider '{name}' was not found. Specify a valid name.")
        return name

    def _unlist(self, task: FakeTask) -> None:
        self._listed[task.parameters.get("startedBy", "")].pop(task.id, None)

    def _matching(self, parameters: Mapping[str, Any]) -> Sequence[FakeTask]:
        """Tasks that a listing shows; those that are told to stop only when they are asked for."""
        shown_until = self._clock() - self.list_lag
        if "startedBy" in parameters:
            found: Iterable[FakeTask] = self._listed[parameters["startedBy"]].values()
        elif parameters.get("desiredStatus") == "STOPPED":
            found = (task for task in self.tasks.values() if task.desired == "STOPPED" and self._find(task.id))
        else:
            found = (task for tasks in self._listed.values() for task in tasks.values())
        family = parameters.get("family")
        group = f"service:{parameters['serviceName']}" if "serviceName" in parameters else None
        return [
            task
            for task in found
            if task.created_at <= shown_until
            and family in (None, task.definition.family)
            and group in (None, task.parameters.get("group"))
        ]

    def _find(self, name: str) -> FakeTask | None:
        """A task that ECS still knows, by its id or ARN."""
        task = self.tasks.get(name.rpartition("/")[2])
        if task is None or (task.stopped_at is not None and self._clock() > task.stopped_at + DESCRIBABLE):
            return None
        return task
