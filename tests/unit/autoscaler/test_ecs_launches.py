"""Launches on ECS: refusals, want of capacity, lost answers, and how throttling is kept to."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
)

from services.autoscaler.errors import FleetThrottled, FleetUnavailable, LaunchRefused
from services.autoscaler.model import Capacity, Launch
from tests.fakes.ecs import NO_CAPACITY, SPOT, Limits
from tests.unit.autoscaler.ecs_world import EcsWorld


@pytest.fixture
def world() -> EcsWorld:
    return EcsWorld()


@pytest.mark.parametrize(
    "code",
    [
        "AccessDeniedException",
        "BlockedException",
        "ClientException",
        "ClusterNotFoundException",
        "ConflictException",
        "InvalidParameterException",
        "PlatformTaskDefinitionIncompatibilityException",
        "PlatformUnknownException",
        "UnsupportedFeatureException",
    ],
)
def test_a_refusal_has_the_reason_of_ecs(world: EcsWorld, code: str) -> None:
    world.fake.fail_next("RunTask", code, "since it is so")
    with pytest.raises(LaunchRefused, match=f"worker:1 was refused: {code}: since it is so") as caught:
        world.launch()
    assert ("permissions.py" in str(caught.value)) == (code == "AccessDeniedException")
    assert world.launch().ids


@pytest.mark.parametrize(
    "error",
    [
        "ServerException",
        "ExpiredTokenException",
        "ServiceUnavailable",
        EndpointConnectionError(endpoint_url="https://ecs.test"),
        ConnectionClosedError(endpoint_url="https://ecs.test"),
        NoCredentialsError(),
    ],
)
@pytest.mark.parametrize("operation", ["RunTask", "ListTasks", "DescribeTasks", "StopTask"])
def test_no_answer_is_no_answer(world: EcsWorld, operation: str, error: Exception | str) -> None:
    (machine,) = world.running(1)
    world.fake.fail_next(operation, error, "we are sorry")
    with pytest.raises(FleetUnavailable) as caught:
        everything(world, machine)
    assert not isinstance(caught.value, FleetThrottled)
    assert (error if isinstance(error, str) else type(error).__name__) in str(caught.value)
    everything(world, machine)


def everything(world: EcsWorld, machine: str) -> None:
    world.fleet.observe()
    world.launch()
    world.fleet.stop(machine, "enough")


def test_parameters_that_boto3_refuses_are_refused_for_good(world: EcsWorld) -> None:
    world.fleet = world.start(ecs_cluster=None)
    with pytest.raises(LaunchRefused, match="ParamValidationError"):
        world.launch()


def test_want_of_capacity_is_counted(world: EcsWorld) -> None:
    world.fake.set_capacity(SPOT, 3)
    launched = world.launch(5)
    assert (len(launched.ids), launched.no_capacity) == (3, 2)
    assert launched.refused == (f"{NO_CAPACITY}.",) * 2


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ClientException", NO_CAPACITY),
        ("InvalidParameterException", "Capacity is unavailable at this time."),
        ("ThrottlingException", "You've reached the limit on the number of vCPUs you can run concurrently"),
    ],
)
def test_want_of_capacity_as_an_error(world: EcsWorld, code: str, message: str) -> None:
    world.fake.fail_next("RunTask", code, message)
    launched = world.launch(4)
    assert (launched.ids, launched.refused, launched.no_capacity) == ((), (message,) * 4, 4)


def test_other_failures_have_their_reason(world: EcsWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [{"reason": "RESOURCE:ENI", "detail": "no addresses are left"}, {"arn": "x"}]
    monkeypatch.setattr(world.fake, "run_task", lambda **_: {"tasks": [], "failures": failures})
    launched = world.launch(2)
    assert (launched.refused, launched.no_capacity) == (("RESOURCE:ENI: no addresses are left", "no reason given"), 0)


def test_an_answer_that_was_lost_is_had_by_the_same_launch(world: EcsWorld) -> None:
    world.fake.lose_answer()
    with pytest.raises(FleetUnavailable, match="ReadTimeoutError"):
        world.launch(3, token="t")
    assert len(world.launch(3, token="t").ids) == 3
    assert len(world.fleet.observe().machines) == len(world.fake.tasks) == 3


def test_a_token_that_has_started_others_gives_those(world: EcsWorld) -> None:
    first = world.launch(3, token="t")
    changed = world.start(worker_subnets="subnet-2")
    again = changed.launch(Launch("t", 3, Capacity.SPOT, "1", world.now))
    assert (sorted(again.ids), again.refused, again.no_capacity) == (sorted(first.ids), (), 0)
    assert len(world.fake.tasks) == 3
    assert len(changed.observe().machines) == 3


# ---- throttling ----


def test_throttling_backs_off(world: EcsWorld) -> None:
    waits = []
    for _ in range(8):
        world.fake.fail_next("RunTask", "ThrottlingException", "Rate exceeded")
        with pytest.raises(FleetThrottled, match="ThrottlingException: Rate exceeded") as caught:
            world.launch()
        waits.append(caught.value.wait)
        with pytest.raises(FleetThrottled, match="waits") as early:
            world.launch()
        assert early.value.wait == pytest.approx(caught.value.wait)
        world.now += caught.value.wait + 0.01
    assert world.fake.count("RunTask") == 8
    for turn, wait in enumerate(waits):
        longest = min(30.0, 2.0**turn)
        assert longest / 2 <= wait <= longest
    assert len({wait / min(30.0, 2.0**turn) for turn, wait in enumerate(waits)}) > 1
    world.launch()
    world.fake.fail_next("RunTask", "ThrottlingException", "Rate exceeded")
    with pytest.raises(FleetThrottled) as caught:
        world.launch()
    assert caught.value.wait <= 1.0


def test_throttled_launches_do_not_keep_us_from_looking(world: EcsWorld) -> None:
    world.fake.fail_next("RunTask", "ThrottlingException")
    with pytest.raises(FleetThrottled):
        world.launch()
    assert world.fleet.observe().machines == ()
    world.fake.fail_next("ListTasks", "ThrottlingException")
    with pytest.raises(FleetThrottled):
        world.fleet.observe()


def test_throttling_behind_ecs(world: EcsWorld) -> None:
    message = "Error retrieving security group information: Request limit exceeded. (ErrorCode: RequestLimitExceeded)"
    world.fake.fail_next("RunTask", "InvalidParameterException", message)
    with pytest.raises(FleetThrottled, match="security group"):
        world.launch()


def test_our_own_count_keeps_us_inside_the_quotas(world: EcsWorld) -> None:
    launched = 0
    said: list[FleetThrottled] = []
    for _ in range(600):
        try:
            launched += len(world.launch(10).ids)
        except FleetThrottled as throttled:
            said.append(throttled)
        world.now += 0.1
    assert all("our own count" in str(throttled) and 0 < throttled.wait <= 0.5 for throttled in said)
    assert 100 + 20 * 59 <= launched <= 100 + 20 * 60
    assert {call.error for call in world.fake.calls} == {None}


def test_stops_and_launches_share_a_quota() -> None:
    world = EcsWorld(quotas=Limits(modify=(100, 40), read=None, launch=None))
    machines = [machine for _ in range(10) for machine in world.running(10)]
    world.now += 100
    for machine in machines:
        world.fleet.stop(machine, "enough")
    with pytest.raises(FleetThrottled, match="calls that start and stop tasks") as caught:
        world.launch()
    assert caught.value.wait == pytest.approx(1 / 40)
    world.now += caught.value.wait + 1e-6
    world.launch()
    assert {call.error for call in world.fake.calls} == {None}
