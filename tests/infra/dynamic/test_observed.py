"""How what ECS says is judged, where a running service would show it only for a moment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.dynamic.observed import Found, Seen, Wanted, astray, private_ip, ready, report, seen_of

WANTED = Wanted("arn:aws:ecs:eu-central-1:123456789012:task-definition/scheduler:7", "scheduler")


def task(name: str, created: int = 0, **changes: Any) -> dict[str, Any]:
    details = [{"name": "subnetId", "value": "subnet-1"}, {"name": "privateIPv4Address", "value": f"10.0.0.{created}"}]
    values = {
        "taskArn": f"arn/{name}",
        "taskDefinitionArn": WANTED.task_definition,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "createdAt": datetime.fromtimestamp(created, UTC),
        "containers": [{"name": "agent", "healthStatus": "UNKNOWN"}, {"name": "scheduler", "healthStatus": "HEALTHY"}],
        "attachments": [
            {"type": "Service Connect", "details": []},
            {"type": "ElasticNetworkInterface", "details": details},
        ],
    }
    return {**values, **changes}


def found(*tasks: dict[str, Any]) -> Found | None:
    return ready(seen_of({}, tasks, WANTED), WANTED)


def test_the_newest_task_that_is_ready_is_taken() -> None:
    assert found(task("old", 1), task("new", 3), task("middle", 2)) == Found("arn/new", "10.0.0.3")


@pytest.mark.parametrize(
    "changes",
    [
        {"lastStatus": "ACTIVATING"},
        {"desiredStatus": "STOPPED"},
        {"lastStatus": "STOPPED"},
        {"attachments": []},
        {"attachments": [{"type": "ElasticNetworkInterface", "status": "PRECREATED", "details": []}]},
        {"containers": [{"name": "agent", "healthStatus": "HEALTHY"}]},
        {"containers": [{"name": "scheduler", "healthStatus": "UNHEALTHY"}]},
        {"containers": [{"name": "scheduler"}]},
        {"taskDefinitionArn": WANTED.task_definition + "7"},
    ],
)
def test_one_that_is_not_ready_is_not(changes: dict[str, Any]) -> None:
    assert found(task("old", 1), task("new", 2, **changes)) == Found("arn/old", "10.0.0.1")


def test_no_address_without_an_interface() -> None:
    assert private_ip({}) is None


def test_a_service_that_is_being_deleted() -> None:
    assert "DRAINING: it is being deleted" in (astray(Seen({"status": "DRAINING"}, ()), WANTED) or "")
    assert astray(Seen({"status": "ACTIVE", "desiredCount": 1}, ()), WANTED) is None


def test_the_report_begins_with_what_is_newest_and_is_short() -> None:
    stops = [
        task(f"s{at}", lastStatus="STOPPED", stoppedAt=datetime.fromtimestamp(at, UTC), stoppedReason=f"because {at}")
        for at in range(9)
    ]
    events = [{"createdAt": "now", "message": f"event {number}"} for number in range(9)]
    text = report(seen_of({"events": events}, stops, WANTED), WANTED)
    assert text.splitlines() == [
        "  task s8 has stopped: because 8",
        "  task s7 has stopped: because 7",
        "  task s6 has stopped: because 6",
        "  event at now: event 0",
        "  event at now: event 1",
        "  event at now: event 2",
    ]


def test_a_report_of_nothing() -> None:
    assert report(seen_of({}, (), WANTED), WANTED) == "  ECS tells of no task and of no event"
