"""How the tests ask the fake ECS: calls with all that is needed, and a clock that they set."""

from __future__ import annotations

from typing import Any

from tests.fakes.ecs import SPOT, Definition, FakeEcs

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
STRATEGY = [{"capacityProvider": SPOT, "weight": 1}]
UNKNOWN = "0" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, **options: Any) -> FakeEcs:
    definitions = [Definition("worker", 1), Definition("worker", 2), Definition("worker", 3, active=False)]
    return FakeEcs(clock, **{"definitions": definitions, "latency": lambda _: 40.0, **options})


def run(ecs: FakeEcs, **changes: Any) -> dict[str, Any]:
    parameters = {
        "cluster": "tidegate",
        "taskDefinition": "worker:1",
        "capacityProviderStrategy": STRATEGY,
        "networkConfiguration": NETWORK,
        "startedBy": "me",
        **changes,
    }
    return ecs.run_task(**{name: value for name, value in parameters.items() if value is not None})


def ids(answer: dict[str, Any]) -> list[str]:
    return [task["taskArn"].rpartition("/")[2] for task in answer["tasks"]]


def described(ecs: FakeEcs, task: str) -> dict[str, Any]:
    (found,) = ecs.describe_tasks(cluster="tidegate", tasks=[task])["tasks"]
    return dict(found)


def listed(ecs: FakeEcs, **filters: Any) -> list[str]:
    return [arn.rpartition("/")[2] for arn in ecs.list_tasks(cluster="tidegate", **filters)["taskArns"]]
