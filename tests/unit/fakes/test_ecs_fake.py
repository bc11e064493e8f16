"""The strict fake of ECS refuses what AWS refuses, and each refusal is shown."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND, SPOT, Definition, FakeEcs, Limits
from tests.unit.fakes.asking import STRATEGY, UNKNOWN, Clock, ids, listed, make, run

TAG = {"key": "a", "value": "b"}
REFUSED_RUNS = [
    ({"count": 11}, "InvalidParameterException", "greater than 10"),
    ({"count": 0}, "InvalidParameterException", "less than 1"),
    ({"startedBy": "x" * 129}, "InvalidParameterException", "startedBy is longer than 128"),
    ({"startedBy": "a b"}, "InvalidParameterException", "characters that are not allowed"),
    ({"clientToken": "x" * 65}, "InvalidParameterException", "clientToken is longer than 64"),
    ({"clientToken": "ä"}, "InvalidParameterException", "clientToken has characters"),
    ({"cluster": "other"}, "ClusterNotFoundException", "Cluster not found"),
    ({"cluster": None}, "ClusterNotFoundException", "Cluster not found"),
    ({"taskDefinition": "worker:9"}, "ClientException", "TaskDefinition not found"),
    ({"taskDefinition": "worker:x"}, "ClientException", "TaskDefinition not found"),
    ({"taskDefinition": "nobody"}, "ClientException", "TaskDefinition not found"),
    ({"taskDefinition": "worker:3"}, "ClientException", "TaskDefinition is inactive"),
    ({"networkConfiguration": None}, "InvalidParameterException", "Network Configuration must be provided"),
    ({"networkConfiguration": {}}, "InvalidParameterException", "Network Configuration must be provided"),
    (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
        "InvalidParameterException",
        "subnets can not",
    ),
    (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"] * 17}}},
        "InvalidParameterException",
        "subnets can have at most 16",
    ),
    (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "securityGroups": ["g"] * 6}}},
        "InvalidParameterException",
        "securityGroups can have at most 5",
    ),
    (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "assignPublicIp": "yes"}}},
        "InvalidParameterException",
        "one of ENABLED, DISABLED",
    ),
    ({"launchType": "FARGATE"}, "InvalidParameterException", "both a launch type and capacity provider"),
    ({"capacityProviderStrategy": None}, "InvalidParameterException", "No Container Instances"),
    ({"capacityProviderStrategy": None, "launchType": "EC2"}, "InvalidParameterException", "No Container Instances"),
    ({"capacityProviderStrategy": [{"capacityProvider": "MINE", "weight": 1}]}, "InvalidParameterException", "'MINE'"),
    ({"capacityProviderStrategy": [{"capacityProvider": SPOT}]}, "InvalidParameterException", "weight above 0"),
    ({"propagateTags": "ALL"}, "InvalidParameterException", "one of TASK_DEFINITION"),
    ({"tags": [TAG, TAG]}, "InvalidParameterException", "Duplicate tag keys"),
    ({"tags": [{"key": "aws:a", "value": "b"}]}, "InvalidParameterException", "reserved"),
    ({"tags": [{"key": "k" * 129, "value": "b"}]}, "InvalidParameterException", "tag key is longer than 128"),
    ({"tags": [{"key": "k", "value": "b" * 257}]}, "InvalidParameterException", "tag value is longer than 256"),
    ({"tags": [{"key": "k", "value": "<b>"}]}, "InvalidParameterException", "tag value has characters"),
    ({"tags": [{"key": str(number), "value": ""} for number in range(51)]}, "InvalidParameterException", "At most 50"),
]


@pytest.mark.parametrize(("changes", "code", "message"), REFUSED_RUNS)
def test_runs_that_are_refused(ecs: FakeEcs, changes: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        run(ecs, **changes)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.operation_name == "RunTask"
    assert ecs.tasks == {}
    assert [call.error for call in ecs.calls] == [code]


def test_tags_of_the_definition_are_passed_on_when_they_are_asked_for(ecs: FakeEcs) -> None:
    ecs.register(Definition("tagged", 1, tags={"a": "b", "c": "d"}))
    own = {"a": "b", "e": "f"}
    tags = [{"key": key, "value": value} for key, value in own.items()]
    for passed, expected in (({}, own), ({"propagateTags": "TASK_DEFINITION"}, {**own, "c": "d"})):
        (arn,) = ids(run(ecs, taskDefinition="tagged:1", count=1, tags=tags, **passed))
        (task,) = ecs.describe_tasks(cluster="tidegate", tasks=[arn], include=["TAGS"])["tasks"]
        assert {tag["key"]: tag["value"] for tag in task["tags"]} == expected


def test_a_tag_that_request_and_definition_give_different_values_is_refused(ecs: FakeEcs) -> None:
    ecs.register(Definition("tagged", 1, tags={"a": "other"}))
    with pytest.raises(ClientError, match="'a' is 'b' in the request and 'other' in the task definition"):
        run(ecs, taskDefinition="tagged:1", tags=[TAG], propagateTags="TASK_DEFINITION")
    assert ecs.tasks == {}
    run(ecs, taskDefinition="tagged:1", tags=[TAG])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 3}, "Unknown parameter"),
        ({"count": "3"}, "Invalid type"),
        ({"count": 3.0}, "Invalid type"),
        ({"taskDefinition": None}, "Missing required parameter"),
        ({"networkConfiguration": {"awsvpcConfiguration": {}}}, 'Missing required parameter.*"subnets"'),
        ({"capacityProviderStrategy": [{"capacityProvider": SPOT, "weight": -1}]}, "Invalid value"),
        ({"tags": {"a": "b"}}, "Invalid type"),
    ],
)
def test_runs_that_boto3_would_not_send(ecs: FakeEcs, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamValidationError, match=message):
        run(ecs, **changes)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"startedBy": "me", "family": "worker"}, "startedBy cannot be combined"),
        ({"startedBy": "me", "desiredStatus": "STOPPED"}, "startedBy cannot be combined"),
        ({"startedBy": "me" * 65}, "startedBy is longer than 128"),
        ({"desiredStatus": "stopped"}, "one of RUNNING"),
        ({"maxResults": 101}, "from 1 to 100"),
        ({"nextToken": "made up"}, "Invalid token"),
    ],
)
def test_listings_that_are_refused(ecs: FakeEcs, filters: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{message}"):
        listed(ecs, **filters)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [([], "cannot be empty"), ([UNKNOWN] * 101, "more than 100"), (["laptop-0"], "taskId length")],
)
def test_descriptions_that_are_refused(ecs: FakeEcs, tasks: list[str], message: str) -> None:
    with pytest.raises(ClientError, match=f"InvalidParameterException.*{message}"):
        ecs.describe_tasks(cluster="tidegate", tasks=tasks)


def test_stops_that_are_refused(ecs: FakeEcs) -> None:
    with pytest.raises(ClientError, match="The referenced task was not found"):
        ecs.stop_task(cluster="tidegate", task=UNKNOWN)
    with pytest.raises(ClientError, match="reason can have at most 1024"):
        ecs.stop_task(cluster="tidegate", task=UNKNOWN, reason="x" * 1025)
    with pytest.raises(ClientError, match="taskId length"):
        ecs.stop_task(cluster="tidegate", task="x")


def test_what_the_fake_does_not_model_is_said(ecs: FakeEcs) -> None:
    with pytest.raises(NotImplementedError, match="overrides"):
        run(ecs, overrides={})
    with pytest.raises(NotImplementedError, match="one capacity provider"):
        run(ecs, capacityProviderStrategy=[*STRATEGY, {"capacityProvider": ON_DEMAND, "weight": 1}])


# ---- throttling ----


def throttled(ecs: FakeEcs, call: Any) -> int:
    """Make a call until it is throttled; return how many were served."""
    for served in range(1000):
        try:
            call()
        except ClientError as error:
            if error.response["Error"] != {"Code": "ThrottlingException", "Message": "Rate exceeded"}:
                raise
            return served
    raise AssertionError("never throttled")


def test_running_and_stopping_share_a_bucket(clock: Clock) -> None:
    ecs = make(clock, quotas=Limits(launch=None))
    (task,) = ids(run(ecs))
    for _ in range(49):
        run(ecs)
    assert throttled(ecs, lambda: ecs.stop_task(cluster="tidegate", task=task)) == 50
    clock.now += 1
    assert throttled(ecs, lambda: run(ecs)) == 40
    clock.now += 1000
    assert throttled(ecs, lambda: run(ecs)) == 100


def test_reading_has_a_bucket(ecs: FakeEcs, clock: Clock) -> None:
    assert throttled(ecs, lambda: listed(ecs)) == 100
    clock.now += 1
    assert throttled(ecs, lambda: ecs.describe_tasks(cluster="tidegate", tasks=[UNKNOWN])) == 20


def test_launches_have_a_bucket_for_each_provider(ecs: FakeEcs, clock: Clock) -> None:
    assert throttled(ecs, lambda: run(ecs, count=10)) == 10
    assert throttled(ecs, lambda: run(ecs, count=9, capacityProviderStrategy=None, launchType="FARGATE")) == 11
    clock.now += 1
    assert throttled(ecs, lambda: run(ecs, count=10)) == 2
    assert len(ecs.tasks) == 100 + 99 + 20


# ---- idempotency ----


def test_a_token_makes_a_repetition_the_same_launch(ecs: FakeEcs, clock: Clock) -> None:
    first = ids(run(ecs, count=3, clientToken="t"))
    clock.now += 500
    again = run(ecs, count=3, clientToken="t")
    assert ids(again) == first
    assert {task["lastStatus"] for task in again["tasks"]} == {"RUNNING"}
    assert len(ecs.tasks) == 3
    with pytest.raises(ClientError, match=r"ConflictException.*already in use") as caught:
        run(ecs, count=2, clientToken="t")
    assert [arn.rpartition("/")[2] for arn in caught.value.response["resourceIds"]] == first


def test_a_repetition_counts_as_a_call_and_not_as_launches(ecs: FakeEcs) -> None:
    for _ in range(50):
        run(ecs, count=10, clientToken="t")
    assert len(ecs.tasks) == 10


# ---- capacity ----


def test_capacity_that_is_short(ecs: FakeEcs, clock: Clock) -> None:
    ecs.set_capacity(SPOT, 3)
    answer = run(ecs, count=5)
    assert len(answer["tasks"]) == 3
    assert answer["failures"] == [{"reason": f"{NO_CAPACITY}."}] * 2
    assert len(run(ecs, count=5, capacityProviderStrategy=[{"capacityProvider": ON_DEMAND, "weight": 1}])["tasks"]) == 5
    ecs.stop_task(cluster="tidegate", task=ids(answer)[0])
    assert len(run(ecs, count=5)["tasks"]) == 1
    ecs.set_capacity(SPOT, 0, raises=True)
    with pytest.raises(ClientError, match=r"ClientException.*Capacity is unavailable at this time"):
        run(ecs)
    ecs.set_capacity(SPOT, None)
    assert len(run(ecs, count=10)["tasks"]) == 10
