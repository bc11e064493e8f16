"""Descriptions of tasks, read as machines: all states and codes that ECS has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.loaders import Loader

from services.autoscaler.fleet.ecs_task import ended_of, is_task_id, lacks_capacity, machine_of
from services.autoscaler.model import Capacity, Ending, Phase

ID = "0123456789abcdef0123456789abcdef"


def task(**changes: Any) -> dict[str, Any]:
    return {
        "taskArn": f"arn:aws:ecs:eu-central-1:123456789012:task/tidegate/{ID}",
        "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/worker:12",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        **changes,
    }


@pytest.mark.parametrize(
    ("last", "desired", "phase"),
    [
        ("PROVISIONING", "RUNNING", Phase.STARTING),
        ("PENDING", "RUNNING", Phase.STARTING),
        ("ACTIVATING", "RUNNING", Phase.STARTING),
        ("RUNNING", "RUNNING", Phase.RUNNING),
        ("PROVISIONING", "STOPPED", Phase.STOPPING),
        ("PENDING", "STOPPED", Phase.STOPPING),
        ("RUNNING", "STOPPED", Phase.STOPPING),
        ("DEACTIVATING", "STOPPED", Phase.STOPPING),
        ("STOPPING", "STOPPED", Phase.STOPPING),
        ("DEPROVISIONING", "STOPPED", Phase.STOPPING),
        ("DEPROVISIONING", "RUNNING", Phase.STOPPING),
    ],
)
def test_phases(last: str, desired: str, phase: Phase) -> None:
    machine = machine_of(task(lastStatus=last, desiredStatus=desired), 5.0)
    assert (machine.id, machine.phase, machine.revision, machine.created_at) == (ID, phase, "12", 5.0)


@pytest.mark.parametrize(
    ("provider", "capacity"),
    [("FARGATE_SPOT", Capacity.SPOT), ("FARGATE", Capacity.ON_DEMAND), (None, Capacity.ON_DEMAND)],
)
def test_capacities(provider: str | None, capacity: Capacity) -> None:
    assert machine_of(task(capacityProviderName=provider), 0.0).capacity is capacity


def test_times() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    machine = machine_of(task(createdAt=at, pullStartedAt=at), 0.0)
    assert (machine.created_at, machine.billed_from) == (at.timestamp(), at.timestamp())
    assert ended_of(task(stoppedAt=at), 0.0).at == at.timestamp()


ENDINGS = {
    "SpotInterruption": Ending.RECLAIMED,
    "TerminationNotice": Ending.RECLAIMED,
    "TaskFailedToStart": Ending.FAILED_TO_START,
    "EssentialContainerExited": Ending.EXITED,
    "InfrastructureHealth": Ending.EXITED,
    "UserInitiated": Ending.STOPPED,
    "ServiceSchedulerInitiated": Ending.STOPPED,
    "SomethingNew": Ending.EXITED,
}


@pytest.mark.parametrize(("code", "ending"), ENDINGS.items())
def test_endings(code: str, ending: Ending) -> None:
    end = ended_of(task(lastStatus="STOPPED", stopCode=code, stoppedReason="because"), 7.0)
    assert (end.ending, end.reason, end.at) == (ending, "because", 7.0)


def test_no_code_of_ecs_is_left_out() -> None:
    model = Loader().load_service_model("ecs", "service-2")
    assert set(model["shapes"]["TaskStopCode"]["enum"]) <= ENDINGS.keys()


@pytest.mark.parametrize("code", ["TaskFailedToStart", "EssentialContainerExited"])
def test_only_a_failed_start_lacks_capacity(code: str) -> None:
    end = ended_of(task(stopCode=code, stoppedReason="Capacity is unavailable at this time."), 0.0)
    assert (end.ending is Ending.NO_CAPACITY) == (code == "TaskFailedToStart")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "ECS gives no reason"),
        ({"stopCode": "SpotInterruption"}, "SpotInterruption"),
        ({"stoppedReason": "Stopped."}, "Stopped."),
        (
            {"stoppedReason": "Stopped.", "containers": [{"name": "a", "exitCode": 0}, {"name": "b"}]},
            "Stopped; container 'a': exit code 0",
        ),
        (
            {"stoppedReason": "Stopped", "containers": [{"name": "a", "reason": "no image"}, {"exitCode": 1}]},
            "Stopped; container 'a': no image; container '?': exit code 1",
        ),
    ],
)
def test_reasons(changes: dict[str, Any], reason: str) -> None:
    assert ended_of(task(**changes), 0.0).reason == reason


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Capacity is unavailable at this time. Please try again later or in a different availability zone", True),
        ("You've reached the limit on the number of vCPUs you can run concurrently", True),
        ("You've reached the limit on the number of tasks you can run concurrently", True),
        ("TaskDefinition is inactive", False),
    ],
)
def test_want_of_capacity(text: str, lacks: bool) -> None:
    assert lacks_capacity(text) is lacks


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (ID, True),
        ("01234567-89ab-cdef-0123-456789abcdef", True),
        (ID[:-1], False),
        (ID.upper(), False),
        (f"{ID}-0", False),
        ("laptop-0", False),
        ("", False),
    ],
)
def test_ids(text: str, fits: bool) -> None:
    assert is_task_id(text) is fits
