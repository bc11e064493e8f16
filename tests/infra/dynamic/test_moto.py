"""The providers against moto, for what the fake might have wrong alike: shapes of requests and answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.dynamic.aws import World
from infra.dynamic.fleet_stop import FleetStopProvider
from infra.dynamic.scheduler_address import SchedulerAddressProvider, SchedulerNotReady
from infra.dynamic.session import account_of, open_client
from tests.contracts.fleet.worlds import World as Account
from tests.contracts.fleet.worlds import moto_account, moto_world
from tests.infra.dynamic.world import REGION, FakeClock


class MotoBench:
    """A cluster of moto's with a scheduler's service, for which it starts no task: tests do."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.client = account.client
        self.clock = FakeClock()
        world = World(open_client, self.clock, account_of)
        self.scheduler = SchedulerAddressProvider(world)
        self.fleet_stop = FleetStopProvider(world)
        (cluster,) = self.client.describe_clusters(clusters=[account.cluster])["clusters"]
        self.cluster: str = cluster["clusterArn"]
        service = self.client.create_service(
            cluster=self.cluster, serviceName="scheduler", taskDefinition="worker:1", desiredCount=1
        )["service"]
        self.service: str = service["serviceArn"]
        self.definition: str = service["taskDefinition"]

    def inputs(self, **changes: Any) -> dict[str, Any]:
        values = {
            "cluster": self.cluster,
            "service": self.service,
            "task_definition": self.definition,
            "container": "worker",
            "region": REGION,
            "scheme": "tcp",
            "port": 8786.0,
            "timeout": 60.0,
        }
        return {**values, **changes}

    def start(self, **changes: Any) -> dict[str, Any]:
        """Start a task; moto says of all that they are healthy."""
        task = self.account.run(group="service:scheduler", startedBy="ecs-svc/1", tags=[], **changes)
        (found,) = self.client.describe_tasks(cluster=self.cluster, tasks=[task])["tasks"]
        return dict(found)

    def stop(self, task: str, reason: str) -> None:
        self.client.stop_task(cluster=self.cluster, task=task, reason=reason)


def ip_of(task: dict[str, Any]) -> str:
    details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
    return str(details["privateIPv4Address"])


@pytest.fixture(scope="module")
def account() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, moto_account(patch) as account:
        patch.delenv("AWS_DEFAULT_REGION")
        yield account


@pytest.fixture
def bench(account: Any) -> Iterator[MotoBench]:
    with moto_world(account) as world:
        yield MotoBench(world)


def test_create(bench: MotoBench) -> None:
    task = bench.start()
    assert bench.scheduler.create(bench.inputs()).outs == bench.inputs(
        ip=ip_of(task), task_arn=task["taskArn"], address=f"tcp://{ip_of(task)}:8786"
    )


def test_create_waits(bench: MotoBench) -> None:
    bench.start(taskDefinition="other:1")
    bench.clock.at(20, bench.start)
    outs = bench.scheduler.create(bench.inputs()).outs
    assert outs is not None
    assert bench.clock.passed == pytest.approx(20, abs=6)


def test_create_in_vain(bench: MotoBench) -> None:
    bench.stop(bench.start()["taskArn"], "not wanted")
    with pytest.raises(SchedulerNotReady, match="not wanted") as caught:
        bench.scheduler.create(bench.inputs())
    assert "within 60 s" in str(caught.value)


def test_read_update_delete(bench: MotoBench) -> None:
    old = bench.start()
    outs = bench.scheduler.create(bench.inputs()).outs
    assert outs is not None
    bench.stop(old["taskArn"], "replaced")
    assert bench.scheduler.read("id", outs).outs == outs
    new = bench.start()
    read = bench.scheduler.read("id", outs).outs
    assert read is not None
    assert (read["ip"], read["task_arn"]) == (ip_of(new), new["taskArn"])
    assert not bench.scheduler.diff("id", read, bench.inputs()).changes
    assert bench.scheduler.update("id", outs, bench.inputs()).outs == read
    bench.scheduler.delete("id", read)


def test_read_when_all_is_gone(bench: MotoBench) -> None:
    outs = bench.inputs(ip="10.0.0.1")
    bench.client.update_service(cluster=bench.cluster, service=bench.service, desiredCount=0)
    bench.client.delete_service(cluster=bench.cluster, service=bench.service, force=True)
    assert bench.scheduler.read("id", outs).id == ""
    bench.client.delete_cluster(cluster=bench.cluster)
    assert bench.scheduler.read("id", outs).id == ""


def test_one_fleet_of_two_is_stopped(bench: MotoBench) -> None:
    ours = [bench.account.run() for _ in range(3)]
    tags = [{"key": "tidegate:fleet", "value": "dev/green"}]
    theirs = bench.account.run(startedBy="tidegate/dev/green", tags=tags)
    inputs = {"cluster": bench.cluster, "fleet_name": "dev/blue", "region": REGION, "timeout": 300.0}
    bench.fleet_stop.delete("id", inputs)
    tasks = bench.client.describe_tasks(cluster=bench.cluster, tasks=[*ours, theirs])["tasks"]
    assert {task["taskArn"].rpartition("/")[2] for task in tasks if task["lastStatus"] == "RUNNING"} == {theirs}


def test_a_fleet_of_a_cluster_that_is_gone(bench: MotoBench) -> None:
    cluster = bench.cluster + "-gone"
    bench.fleet_stop.delete("id", {"cluster": cluster, "fleet_name": "dev/blue", "region": REGION, "timeout": 300.0})
    assert bench.clock.sleeps == []
