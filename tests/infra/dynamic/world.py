"""The dynamic providers on the strict fake of ECS, and time that passes only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.dynamic.aws import World
from infra.dynamic.clock import Clock
from infra.dynamic.fleet_stop import FleetStopProvider
from infra.dynamic.scheduler_address import SchedulerAddressProvider
from infra.dynamic.session import Access
from tests.fakes.ecs import Definition, FakeEcs
from tests.fakes.ecs_task import ACCOUNT

REGION = "eu-central-1"
CLUSTER = f"arn:aws:ecs:{REGION}:123456789012:cluster/tidegate"
SERVICE = f"arn:aws:ecs:{REGION}:123456789012:service/tidegate/scheduler"
START = 1_000_000.0


class FakeClock(Clock):
    """Time that tests, and whoever sleeps, move on."""

    def __init__(self) -> None:
        self.time = START
        self.sleeps: list[float] = []
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.sleeps.append(seconds)
        until = self.time + seconds
        while self._plans and self._plans[0][0] <= until:
            at, happen = self._plans.pop(0)
            self.time = max(self.time, at)
            happen()
        self.time = until

    def chance(self) -> float:
        return 0.5

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        """Let something happen so many seconds after the start."""
        self._plans.append((START + seconds, happen))
        self._plans.sort(key=lambda plan: plan[0])

    @property
    def passed(self) -> float:
        return self.time - START


def scheduler(revision: int = 7, **changes: Any) -> Definition:
    """A definition of the scheduler: its health check answers after 10 s."""
    return Definition("scheduler", revision, **{"health_after": 10.0, "stop_timeout": 30.0, **changes})


class Bench:
    """Clock, fake service and providers on both.

    Args:
        options: of the fake.

    Attributes:
        account: of the credentials that providers have.
        accesses: by which they have reached ECS.
    """

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.fake = FakeEcs(self.clock.now, **{"latency": lambda _: 40.0, "drain": 2.0, **options})
        self.accesses: list[Access] = []
        self.account = ACCOUNT
        world = World(self._connect, self.clock, lambda _: self.account)
        self.scheduler = SchedulerAddressProvider(world)
        self.fleet_stop = FleetStopProvider(world)

    def _connect(self, access: Access) -> Any:
        self.accesses.append(access)
        return self.fake


def inputs(definition: Definition, **changes: Any) -> dict[str, Any]:
    """What a provider is given: numbers are floats, and what is None is left out."""
    values = {
        "cluster": CLUSTER,
        "service": SERVICE,
        "task_definition": definition.arn,
        "container": "scheduler",
        "region": REGION,
        "scheme": "tcp",
        "port": 8786.0,
        "timeout": 600.0,
        "poll_interval": 5.0,
        "__provider": "stored",
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def fleet_inputs(**changes: Any) -> dict[str, Any]:
    values = {"cluster": CLUSTER, "fleet_name": "dev/blue", "region": REGION, "timeout": 300.0, "__provider": "stored"}
    return {**values, **changes}
