"""The services of the fake ECS: one task, never two; deployments, health checks and the circuit breaker."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND, Definition, FakeEcs
from tests.unit.fakes.asking import Clock, described, listed, make

CLUSTER = "tidegate"


def definition(revision: int = 1, **changes: Any) -> Definition:
    return Definition("scheduler", revision, **{"health_after": 10.0, **changes})


def service(ecs: FakeEcs) -> dict[str, Any]:
    (found,) = ecs.describe_services(cluster=CLUSTER, services=["scheduler"])["services"]
    return dict(found)


@pytest.fixture
def ecs(clock: Clock) -> FakeEcs:
    return make(clock, drain=2.0)


def test_a_task_starts_and_becomes_healthy(ecs: FakeEcs, clock: Clock) -> None:
    ecs.services.create("scheduler", definition())
    (task,) = listed(ecs, serviceName="scheduler")
    about = service(ecs)
    assert (about["status"], about["desiredCount"], about["runningCount"], about["pendingCount"]) == ("ACTIVE", 1, 0, 1)
    assert about["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert described(ecs, task)["attachments"][0]["status"] == "PRECREATED"
    clock.now += 40
    about = described(ecs, task)
    assert (about["lastStatus"], about["containers"][0]["healthStatus"]) == ("RUNNING", "UNKNOWN")
    assert (about["group"], about["startedBy"]) == ("service:scheduler", service(ecs)["deployments"][0]["id"])
    assert {"name": "privateIPv4Address", "value": ecs.tasks[task].ip} in about["attachments"][0]["details"]
    clock.now += 10
    assert described(ecs, task)["containers"][0]["healthStatus"] == "HEALTHY"
    about = service(ecs)
    assert about["deployments"][0]["rolloutState"] == "COMPLETED"
    assert [event["message"] for event in about["events"]] == [
        "(service scheduler) has reached a steady state.",
        f"(service scheduler) has started 1 tasks: (task {task}).",
    ]


def test_a_new_deployment_stops_the_old_task_first(ecs: FakeEcs, clock: Clock) -> None:
    ecs.services.create("scheduler", definition())
    clock.now += 60
    ecs.services.update("scheduler", definition(2))
    assert listed(ecs, serviceName="scheduler") == []
    (old,) = listed(ecs, serviceName="scheduler", desiredStatus="STOPPED")
    assert [(one["status"], one["taskDefinition"][-1]) for one in service(ecs)["deployments"]] == [
        ("PRIMARY", "2"),
        ("ACTIVE", "1"),
    ]
    clock.now += 2
    (new,) = listed(ecs, serviceName="scheduler")
    assert described(ecs, new)["createdAt"].timestamp() == clock.now
    about = described(ecs, old)
    assert (about["stopCode"], about["lastStatus"]) == ("ServiceSchedulerInitiated", "STOPPED")
    clock.now += 50
    assert [one["rolloutState"] for one in service(ecs)["deployments"]] == ["COMPLETED"]


def test_an_unhealthy_task_is_replaced_also_while_nobody_looks(ecs: FakeEcs, clock: Clock) -> None:
    ecs.services.create("scheduler", definition(healthy=False))
    clock.now += 3 * (40 + 10 + 2)
    stopped = listed(ecs, serviceName="scheduler", desiredStatus="STOPPED")
    assert {described(ecs, task)["stoppedReason"] for task in stopped} == {"Task failed container health checks"}
    assert len(stopped) == 3
    assert service(ecs)["deployments"][0]["failedTasks"] == 3
    assert service(ecs)["deployments"][0]["rolloutState"] == "IN_PROGRESS"


@pytest.mark.parametrize("rollback", [True, False])
def test_the_circuit_breaker(ecs: FakeEcs, clock: Clock, rollback: bool) -> None:
    ecs.services.create("scheduler", definition(), breaker=True, rollback=rollback)
    clock.now += 60
    ecs.fail_starts("CannotPullContainerError", 3)
    ecs.services.update("scheduler", definition(2))
    clock.now += 2 + 3 * 40
    first, *_ = service(ecs)["deployments"]
    failed = service(ecs)["deployments"][1] if rollback else first
    assert (failed["taskDefinition"][-1], failed["rolloutState"]) == ("2", "FAILED")
    clock.now += 100
    assert [task.definition.revision for task in ecs.running()] == ([1] if rollback else [])


def test_no_room(ecs: FakeEcs, clock: Clock) -> None:
    ecs.set_capacity(ON_DEMAND, 0)
    ecs.services.create("scheduler", definition())
    assert service(ecs)["events"][0]["message"] == (
        f"(service scheduler) was unable to place a task. Reason: {NO_CAPACITY}."
    )
    ecs.set_capacity(ON_DEMAND, 1)
    clock.now += 60
    assert len(ecs.running()) == 1


def test_none_wanted_and_deleted(ecs: FakeEcs, clock: Clock) -> None:
    ecs.services.create("scheduler", definition())
    clock.now += 60
    ecs.services.update("scheduler", desired=0)
    clock.now += 60
    assert ecs.running() == []
    ecs.services.update("scheduler", desired=1)
    clock.now += 60
    assert len(ecs.running()) == 1
    ecs.services.delete("scheduler")
    clock.now += 60
    assert ecs.running() == []
    assert service(ecs)["status"] == "INACTIVE"


def test_what_is_refused(ecs: FakeEcs) -> None:
    for services, text in (([], "cannot be empty"), (["a"] * 11, "more than 10")):
        with pytest.raises(ClientError, match=text):
            ecs.describe_services(cluster=CLUSTER, services=services)
    with pytest.raises(ParamValidationError):
        ecs.describe_services(cluster=CLUSTER)
    with pytest.raises(ClientError, match="ClusterNotFoundException"):
        ecs.describe_services(cluster="other", services=["scheduler"])
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        ecs.list_tasks(cluster=CLUSTER, serviceName="scheduler")
    (failure,) = ecs.describe_services(cluster=CLUSTER, services=["scheduler"])["failures"]
    assert failure["reason"] == "MISSING"
    assert failure["arn"].endswith(":service/tidegate/scheduler")


def test_answers_have_the_shape_that_botocore_knows(ecs: FakeEcs, clock: Clock) -> None:
    from tests.fakes.ecs_limits import service_model

    ecs.services.create("scheduler", definition())
    clock.now += 60
    for operation, answer in (
        ("DescribeServices", ecs.describe_services(cluster=CLUSTER, services=["scheduler"])),
        ("DescribeTasks", ecs.describe_tasks(cluster=CLUSTER, tasks=listed(ecs))),
    ):
        shape = service_model().operation_model(operation).output_shape
        del answer["ResponseMetadata"]
        assert unknown(shape, answer) == []


def unknown(shape: Any, value: Any, path: str = "") -> list[str]:
    if shape.type_name == "structure":
        found = [f"{path}.{name}" for name in value.keys() - shape.members.keys()]
        known = value.keys() & shape.members.keys()
        return found + [text for name in known for text in unknown(shape.members[name], value[name], f"{path}.{name}")]
    if shape.type_name == "list":
        return [text for part in value for text in unknown(shape.member, part, path)]
    return []
