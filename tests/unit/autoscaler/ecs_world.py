"""An ECS fleet on the strict fake and a clock that tests set."""

from __future__ import annotations

from typing import Any

from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.model import Capacity, Launch, Launched
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import Definition, FakeEcs
from tests.fakes.quotas import FakeQuotas


class EcsWorld:
    """Clock, fake service and a fleet on both.

    Args:
        options: of the fake.
    """

    def __init__(self, **options: Any) -> None:
        self.now = 1_000_000.0
        definitions = [Definition("worker", 1), Definition("worker", 2)]
        self.fake = FakeEcs(self.clock, **{"definitions": definitions, "latency": lambda _: 40.0, **options})
        self.quotas = FakeQuotas()
        self.fleet = self.start()

    def clock(self) -> float:
        return self.now

    def start(self, **changes: Any) -> EcsFleet:
        """A fleet as after a start of the autoscaler."""
        values: dict[str, Any] = {
            "ecs_cluster": "tidegate",
            "worker_task_definition": "worker:1",
            "worker_subnets": "subnet-1",
            "worker_security_groups": "sg-1",
            "worker_vcpu": 2.0,
        }
        return EcsFleet(self.fake, EcsSettings(**{**values, **changes}), self.clock, self.quotas)

    def launch(self, count: int = 1, capacity: Capacity = Capacity.SPOT, token: str | None = None) -> Launched:
        token = token or f"token-{len(self.fake.calls)}"
        return self.fleet.launch(Launch(token, count, capacity, "1", self.now))

    def running(self, count: int) -> list[str]:
        """Launch machines and let them start; return their ids."""
        found = list(self.launch(count).ids)
        self.now += 40
        self.fleet.observe()
        return found
