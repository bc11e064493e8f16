"""The two services that the ECS fleet must work with, behind one interface: the strict fake, and moto."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import Definition, FakeEcs

FAMILY = "worker"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
EVERYTHING = frozenset({"idempotent", "starts slowly", "drains", "tells why", "has times", "refuses more than ten"})


@dataclass
class World:
    """A service and how to reach it.

    Attributes:
        client: as boto3's.
        network: subnet and security group that exist.
        can: what this service honours, of `EVERYTHING`.
        cluster: its name.
        requests: operation and parameters of every call that was made.
        late: seconds by which the fleets' clock is ahead.
    """

    client: Any
    network: tuple[str, str]
    can: frozenset[str]
    cluster: str = "tidegate"
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    late: float = 0.0

    def now(self) -> float:
        return time.time() + self.late

    def settings(self, **changes: Any) -> EcsSettings:
        values = {
            "ecs_cluster": self.cluster,
            "worker_task_definition": f"{FAMILY}:1",
            "worker_subnets": self.network[0],
            "worker_security_groups": self.network[1],
            "fleet_name": "dev/blue",
        }
        return EcsSettings(**{**values, **changes})

    def fleet(self, **changes: Any) -> EcsFleet:
        """A fleet as after a start of the autoscaler."""
        return EcsFleet(self.client, self.settings(**changes), self.now)

    def run(self, **changes: Any) -> str:
        """Start one task as `fleet` would, but for the changes; return its id."""
        parameters: dict[str, Any] = {
            "cluster": self.cluster,
            "taskDefinition": f"{FAMILY}:1",
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
            "networkConfiguration": {
                "awsvpcConfiguration": {"subnets": [self.network[0]], "securityGroups": [self.network[1]]}
            },
            "startedBy": "tidegate/dev/blue",
            "tags": [
                {"key": "tidegate:fleet", "value": "dev/blue"},
                {"key": "tidegate:component", "value": "worker"},
            ],
            **changes,
        }
        answer = self.client.run_task(**parameters)
        return str(answer["tasks"][0]["taskArn"].rpartition("/")[2])


@contextmanager
def fake_world() -> Iterator[World]:
    """The strict fake; tasks take a minute to start, and drain for five seconds."""
    world = World(None, ("subnet-1", "sg-1"), EVERYTHING)
    definitions = [Definition(FAMILY, 1), Definition(FAMILY, 2), Definition("other", 1)]
    fake = FakeEcs(world.now, definitions=definitions, latency=lambda _: 60.0, drain=5.0)
    fake.on_call = lambda call: world.requests.append((call.operation, dict(call.parameters)))
    world.client = fake
    yield world


@contextmanager
def moto_account(patch: pytest.MonkeyPatch) -> Iterator[tuple[Any, tuple[str, str]]]:
    """Moto in this process, with a network and task definitions that tests share: both take it seconds."""
    import boto3
    from moto import mock_aws
    from moto.moto_api import state_manager

    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    with mock_aws():
        state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1_000_000})
        client = boto3.client("ecs")
        try:
            network = _network(boto3.client("ec2"))
            for family in (FAMILY, FAMILY, "other"):
                _register(client, family)
            yield client, network
        finally:
            client.close()
            state_manager.unset_transition("ecs::task")


@contextmanager
def moto_world(account: tuple[Any, tuple[str, str]]) -> Iterator[World]:
    """A cluster of moto's: tasks run at once, stop at once, and have neither times nor codes."""
    client, network = account
    world = World(client, network, frozenset(), cluster=f"cluster-{uuid.uuid4().hex}")
    client.create_cluster(clusterName=world.cluster)
    record = _recorder(world)
    client.meta.events.register("provide-client-params.ecs", record)
    yield world
    client.meta.events.unregister("provide-client-params.ecs", record)


def _network(ec2: Any) -> tuple[str, str]:
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="workers", Description="workers", VpcId=vpc)["GroupId"]
    ec2.close()
    return str(subnet), str(group)


def _register(client: Any, family: str) -> None:
    client.register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="2048",
        containerDefinitions=[{"name": family, "image": "image", "cpu": 1024, "memory": 2048}],
    )


def _recorder(world: World) -> Any:
    def record(params: dict[str, Any], model: Any, **_: Any) -> None:
        world.requests.append((model.name, dict(params)))

    return record
