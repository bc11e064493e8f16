"""The ECS fleet: how it sees machines start and end, what it remembers, the quotas, the clients."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from botocore.exceptions import (
    EndpointConnectionError,
)

from services.autoscaler.errors import FleetUnavailable
from services.autoscaler.fleet import Fleet
from services.autoscaler.fleet.ecs import EcsFleet, open_ecs_fleet
from services.autoscaler.model import Capacity, Ending, Phase
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import NO_CAPACITY
from tests.fakes.ecs_limits import client_error
from tests.unit.autoscaler.ecs_world import EcsWorld


@pytest.fixture
def world() -> EcsWorld:
    return EcsWorld()


def test_it_is_a_fleet(world: EcsWorld) -> None:
    fleet: Fleet = world.fleet
    assert (fleet.launch_max, fleet.revision) == (10, "1")
    fleet.close()


def test_a_reclaimed_machine(world: EcsWorld) -> None:
    one, other = world.running(2)
    world.fake.reclaim([one])
    phases = {machine.id: machine.phase for machine in world.fleet.observe().machines}
    assert phases == {one: Phase.STOPPING, other: Phase.RUNNING}
    world.now += 120
    (end,) = world.fleet.observe().ended
    assert (end.id, end.ending, end.capacity, end.at) == (one, Ending.RECLAIMED, Capacity.SPOT, world.now)
    assert end.reason == "Your Spot Task was interrupted; container 'worker': exit code 137"


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("CannotPullContainerError: no such image", Ending.FAILED_TO_START),
        ("ResourceInitializationError: unable to pull secrets", Ending.FAILED_TO_START),
        (NO_CAPACITY, Ending.NO_CAPACITY),
    ],
)
def test_machines_that_do_not_start(world: EcsWorld, reason: str, ending: Ending) -> None:
    world.fake.fail_starts(reason)
    (machine,) = world.launch().ids
    world.now += 40
    (end,) = world.fleet.observe().ended
    assert (end.id, end.ending, end.reason) == (machine, ending, reason)


def test_a_machine_that_ends_by_itself(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.exit(machine, 137, "OutOfMemoryError: container killed due to memory usage")
    (end,) = world.fleet.observe().ended
    assert end.ending is Ending.EXITED
    assert end.reason == (
        "Essential container in task exited; container 'worker': exit code 137, "
        "OutOfMemoryError: container killed due to memory usage"
    )


def test_an_end_is_told_once_however_often_it_is_asked_for(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.exit(machine)
    assert len(world.fleet.observe([machine]).ended) == 1
    for _ in range(5):
        world.now += 1000
        assert world.fleet.observe([machine]).ended == ()
    world.fleet.stop(machine, "gone is as good")
    assert world.fake.count("StopTask") == 0


def test_ends_before_our_time_are_no_news(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.exit(machine)
    fleet = world.start()
    assert fleet.observe().ended == ()
    assert [end.id for end in fleet.observe([machine]).ended] == [machine]


def test_listings_that_lag() -> None:
    world = EcsWorld(list_lag=20.0, describe_lag=4.0)
    ids = world.launch(3).ids
    assert world.fleet.observe(ids).machines == ()
    assert world.start().observe(ids).machines == ()
    assert world.fleet.observe(ids).settled == frozenset()
    world.now += 5
    assert len(world.fleet.observe().machines) == 3
    assert len(world.start().observe(ids).machines) == 3
    assert world.fleet.observe(ids).settled == frozenset(), "a successor sees nothing"
    assert world.start().observe().machines == ()
    world.now += 20
    assert world.fleet.observe(ids).settled == set(ids)
    assert len(world.start().observe().machines) == 3


def test_one_that_ecs_accepted_and_never_showed() -> None:
    world = EcsWorld(list_lag=1e9, describe_lag=1e9)
    (machine,) = world.launch().ids
    world.now += 299
    assert world.fleet.observe().ended == ()
    world.now += 2
    (end,) = world.fleet.observe().ended
    assert (end.id, end.ending) == (machine, Ending.FAILED_TO_START)
    assert world.fleet.observe([machine]).ended == ()


def test_one_that_ecs_has_forgotten(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.exit(machine)
    world.now += 3601
    (end,) = world.fleet.observe().ended
    assert (end.id, end.ending, end.reason) == (machine, Ending.EXITED, "ECS knows nothing of it any more")


def test_listed_and_not_described_is_kept(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.service.describe_lag = 1e9
    view = world.fleet.observe()
    assert [(seen.id, seen.phase) for seen in view.machines] == [(machine, Phase.RUNNING)]
    assert view.ended == ()


def test_failures_of_descriptions_that_say_nothing_certain(world: EcsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.running(1)
    failures = [{"arn": "arn:x", "reason": "TIMEOUT"}]
    monkeypatch.setattr(world.fake, "describe_tasks", lambda **_: {"tasks": [], "failures": failures})
    with pytest.raises(FleetUnavailable, match=r"DescribeTasks of ECS: TIMEOUT \(arn:x\)"):
        world.fleet.observe()


def test_a_failed_look_forgets_nothing(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fleet.stop(machine, "enough")
    world.fake.fail_next("DescribeTasks", "ServerException")
    with pytest.raises(FleetUnavailable):
        world.fleet.observe()
    assert [seen.phase for seen in world.fleet.observe().machines] == [Phase.STOPPING]


def test_a_stop_of_one_that_ecs_has_forgotten(world: EcsWorld) -> None:
    (machine,) = world.running(1)
    world.fake.fail_next("StopTask", "InvalidParameterException", "The referenced task was not found.")
    world.fleet.stop(machine, "enough")
    world.fake.fail_next("StopTask", "InvalidParameterException", "something else")
    with pytest.raises(FleetUnavailable, match="something else"):
        world.fleet.stop(machine, "enough")


# ---- quotas ----

ON_DEMAND_QUOTA, SPOT_QUOTA = "On-Demand vCPU resource count' (L-3032A538)", "Spot vCPU resource count' (L-36FBB829)"


@pytest.mark.parametrize(
    ("settings", "on_demand", "spot", "named"),
    [
        ({}, 200, 200, []),
        ({}, 200, 199, [f"{SPOT_QUOTA} is 199 vCPUs: 100 machines of 2 vCPU need 200,"]),
        ({}, 6, 200, [f"{ON_DEMAND_QUOTA} is 6 vCPUs: 100 machines of 2 vCPU need 200 while Spot has no capacity,"]),
        ({}, 0, 0, [SPOT_QUOTA, ON_DEMAND_QUOTA]),
        ({"use_spot": False}, 100, 0, [f"{ON_DEMAND_QUOTA} is 100 vCPUs: 100 machines of 2 vCPU need 200,"]),
        ({"on_demand_base": 60}, 200, 80, []),
        ({"on_demand_base": 60}, 200, 79, [f"{SPOT_QUOTA} is 79 vCPUs: 40 machines of 2 vCPU need 80,"]),
        ({"on_demand_base": 500}, 200, 0, []),
        ({"worker_vcpu": 0.25}, 25, 24.5, [f"{SPOT_QUOTA} is 24.5 vCPUs: 100 machines of 0.25 vCPU need 25,"]),
        ({"worker_vcpu": None}, 0, 0, []),
    ],
)
def test_quotas_that_do_not_suffice_are_named(
    world: EcsWorld, settings: dict[str, Any], on_demand: float, spot: float, named: list[str]
) -> None:
    world.quotas.values = {"L-3032A538": on_demand, "L-36FBB829": spot}
    messages = world.start(**settings).check(100)
    assert len(messages) == len(named)
    for message, part in zip(messages, named, strict=True):
        assert part in message
        assert "Service Quotas, or lower WORKERS_MAX to" in message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (client_error("GetServiceQuota", "AccessDeniedException", "not authorized"), "not authorized (what the role"),
        (client_error("GetServiceQuota", "NoSuchResourceException", "no such quota"), "no such quota"),
        (EndpointConnectionError(endpoint_url="https://quotas.test"), "Could not connect"),
    ],
)
def test_quotas_that_cannot_be_read_are_said(world: EcsWorld, error: Exception, said: str) -> None:
    world.quotas.error = error
    messages = world.fleet.check(10)
    assert len(messages) == 2
    assert all("could not be read" in message and said in message for message in messages)


# ---- opening ----


def test_clients_are_quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.config

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    made: list[dict[str, Any]] = []

    class Spy(botocore.config.Config):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            made.append(dict(options))
            super().__init__(**options)

    monkeypatch.setattr("botocore.config.Config", Spy)
    fleet = open_ecs_fleet(EcsSettings(worker_task_definition="worker:1"))
    assert isinstance(fleet, EcsFleet)
    assert made[0]["retries"]["total_max_attempts"] == 1
    assert (made[0]["connect_timeout"], made[0]["read_timeout"]) == (2.0, 5.0)
    fleet.close()


def test_no_region_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    with pytest.raises(FleetUnavailable, match=r"You must specify a region\. Set AWS_DEFAULT_REGION"):
        open_ecs_fleet(EcsSettings(worker_task_definition="worker:1"))


def test_a_missing_boto3_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(FleetUnavailable, match=r"install tidegate\[autoscaler\]"):
        open_ecs_fleet(EcsSettings(worker_task_definition="worker:1"))
