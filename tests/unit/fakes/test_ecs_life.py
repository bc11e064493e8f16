"""The lives of the fake's tasks: by the clock, as they are told, and as tests order."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)

from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND, SPOT, Definition, FakeEcs, FakeTask, Hooks
from tests.fakes.ecs_limits import UNLIMITED
from tests.fakes.quotas import FakeQuotas
from tests.unit.fakes.asking import Clock, described, ids, listed, make, run

TAG = {"key": "a", "value": "b"}


def test_a_task_starts_by_the_clock(ecs: FakeEcs, clock: Clock) -> None:
    (task,) = ids(run(ecs))
    assert described(ecs, task)["lastStatus"] == "PROVISIONING"
    for _ in range(5):
        assert "pullStartedAt" not in described(ecs, task)
    clock.now += 20
    found = described(ecs, task)
    assert (found["lastStatus"], found["pullStartedAt"].timestamp()) == ("PENDING", 1_000_020.0)
    clock.now += 100
    found = described(ecs, task)
    assert (found["lastStatus"], found["startedAt"].timestamp()) == ("RUNNING", 1_000_040.0)
    assert (found["desiredStatus"], found["capacityProviderName"], found["group"]) == ("RUNNING", SPOT, "family:worker")


def test_start_latencies_are_drawn_from_a_seed(clock: Clock) -> None:
    def starts(seed: int) -> list[float]:
        ecs = FakeEcs(clock, definitions=[Definition("worker", 1)], seed=seed)
        run(ecs, count=10)
        return [at for at, *_ in sorted(ecs.lives._due)]

    assert starts(1) == starts(1) != starts(2)
    assert all(15 <= at - clock.now <= 60 for at in starts(1))


def test_a_listing_lags(clock: Clock) -> None:
    ecs = make(clock, list_lag=5.0, describe_lag=2.0)
    (task,) = ids(run(ecs))
    assert listed(ecs, startedBy="me") == []
    assert ecs.describe_tasks(cluster="tidegate", tasks=[task])["failures"][0]["reason"] == "MISSING"
    clock.now += 2
    assert described(ecs, task)
    assert listed(ecs, startedBy="me") == []
    clock.now += 3
    assert listed(ecs, startedBy="me") == [task]
    assert listed(ecs, startedBy="you") == []


def test_pages(ecs: FakeEcs) -> None:
    for _ in range(7):
        run(ecs, count=10)
    answer = ecs.list_tasks(cluster="tidegate", maxResults=60)
    assert len(answer["taskArns"]) == 60
    rest = ecs.list_tasks(cluster="tidegate", maxResults=60, nextToken=answer["nextToken"])
    assert "nextToken" not in rest
    assert len({*answer["taskArns"], *rest["taskArns"]}) == 70


def test_stopping_gives_time_and_then_kills(ecs: FakeEcs, clock: Clock) -> None:
    (task,) = ids(run(ecs))
    clock.now += 40
    answer = ecs.stop_task(cluster="tidegate", task=task, reason="enough")
    assert answer["task"]["desiredStatus"] == "STOPPED"
    assert listed(ecs, startedBy="me") == []
    assert listed(ecs, desiredStatus="STOPPED") == [task]
    clock.now += 119
    assert described(ecs, task)["lastStatus"] == "STOPPING"
    clock.now += 1
    found = described(ecs, task)
    assert (found["lastStatus"], found["stopCode"], found["stoppedReason"]) == ("STOPPED", "UserInitiated", "enough")
    assert found["containers"][0]["exitCode"] == 137
    ecs.stop_task(cluster="tidegate", task=task, reason="again")
    assert described(ecs, task)["stoppedReason"] == "enough"
    clock.now += 3600
    assert described(ecs, task)
    clock.now += 1
    answer = ecs.describe_tasks(cluster="tidegate", tasks=[task])
    assert (answer["tasks"], answer["failures"][0]["reason"]) == ([], "MISSING")
    assert answer["failures"][0]["arn"].endswith(task)


def test_stopping_what_has_not_started(ecs: FakeEcs, clock: Clock) -> None:
    (task,) = ids(run(ecs))
    ecs.stop_task(cluster="tidegate", task=task)
    assert described(ecs, task)["lastStatus"] == "STOPPED"
    assert ecs.tasks[task].billed_seconds(clock.now) == 0


def test_spot_is_reclaimed(ecs: FakeEcs, clock: Clock) -> None:
    spot = ids(run(ecs, count=9))
    others = ids(run(ecs, count=9, capacityProviderStrategy=[{"capacityProvider": ON_DEMAND, "weight": 1}]))
    assert ecs.reclaim(1.0) == []
    clock.now += 40
    gone = ecs.reclaim(1 / 3)
    assert len(gone) == 3
    assert set(gone) < set(spot)
    assert ecs.reclaim(spot[:1]) == spot[:1]
    clock.now += 119
    assert described(ecs, gone[0])["lastStatus"] == "STOPPING"
    clock.now += 1
    found = described(ecs, gone[0])
    assert (found["stopCode"], found["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
    assert {described(ecs, task)["lastStatus"] for task in others} == {"RUNNING"}


def test_a_container_that_ends(ecs: FakeEcs, clock: Clock) -> None:
    (task,) = ids(run(ecs))
    ecs.exit(task, 1)
    assert described(ecs, task)["lastStatus"] == "PROVISIONING"
    clock.now += 40
    ecs.exit(task, 1, "OutOfMemoryError: killed")
    ecs.exit(task, 2)
    found = described(ecs, task)
    assert (found["stopCode"], found["lastStatus"]) == ("EssentialContainerExited", "STOPPED")
    assert found["containers"][0]["exitCode"] == 1
    assert found["containers"][0]["reason"] == "OutOfMemoryError: killed"


def test_starts_that_fail(ecs: FakeEcs, clock: Clock) -> None:
    ecs.fail_starts("CannotPullContainerError: no such image", count=1)
    (pull,) = ids(run(ecs))
    ecs.fail_starts(NO_CAPACITY)
    (room,) = ids(run(ecs))
    ecs.fail_starts(None)
    (good,) = ids(run(ecs))
    clock.now += 40
    found = described(ecs, pull)
    assert (found["stopCode"], found["stoppedReason"][:24]) == ("TaskFailedToStart", "CannotPullContainerError")
    assert "pullStartedAt" not in described(ecs, room)
    assert described(ecs, room)["stoppedAt"].timestamp() == 1_000_020.0
    assert described(ecs, good)["lastStatus"] == "RUNNING"


def test_the_bill(ecs: FakeEcs, clock: Clock) -> None:
    short, long = ids(run(ecs, count=2))
    clock.now += 40
    assert ecs.tasks[short].billed_seconds(clock.now) == 60
    ecs.exit(short)
    clock.now += 60.5
    ecs.exit(long)
    clock.now += 1000
    assert ecs.tasks[long].billed_seconds(clock.now) == 81
    assert ecs.billed_seconds() == {SPOT: 141, ON_DEMAND: 0}


def test_tags_come_when_asked_for(ecs: FakeEcs) -> None:
    (task,) = ids(run(ecs, tags=[TAG]))
    assert described(ecs, task)["tags"] == []
    (found,) = ecs.describe_tasks(cluster="tidegate", tasks=[task], include=["TAGS"])["tasks"]
    assert found["tags"] == [TAG]


def test_hooks_hear_of_everything_in_order_and_at_its_time(clock: Clock) -> None:
    heard: list[tuple[str, float]] = []

    class Listener(Hooks):
        def on_start(self, task: FakeTask) -> None:
            heard.append(("start", fake.lives.now))

        def on_sigterm(self, task: FakeTask) -> None:
            heard.append(("sigterm", fake.lives.now))
            if len(heard) == 2:
                fake.exit(task.id, 0)

        def on_kill(self, task: FakeTask) -> None:
            heard.append(("kill", fake.lives.now))

    fake = make(clock, hooks=Listener())
    (obedient,) = ids(run(fake))
    assert fake.next_at() == 1_000_020.0
    clock.now += 50
    fake.stop_task(cluster="tidegate", task=obedient)
    assert described(fake, obedient)["lastStatus"] == "STOPPED"
    (deaf,) = ids(run(fake))
    clock.now += 100
    fake.reclaim([deaf])
    clock.now += 1000
    fake.advance()
    start = 1_000_000.0
    assert heard == [
        ("start", start + 40),
        ("sigterm", start + 50),
        ("start", start + 90),
        ("sigterm", start + 150),
        ("kill", start + 270),
    ]
    assert fake.next_at() is None


def test_errors_to_order(ecs: FakeEcs) -> None:
    ecs.fail_next("RunTask", "ServerException", "sorry", times=2)
    ecs.fail_next("ListTasks", EndpointConnectionError(endpoint_url="https://ecs.test"))
    for _ in range(2):
        with pytest.raises(ClientError, match=r"ServerException.*sorry"):
            run(ecs)
    with pytest.raises(EndpointConnectionError):
        listed(ecs)
    assert ecs.tasks == {}
    ecs.lose_answer()
    with pytest.raises(ReadTimeoutError):
        run(ecs, count=2, clientToken="t")
    assert len(ecs.tasks) == 2
    assert len(run(ecs, count=2, clientToken="t")["tasks"]) == 2
    assert [call.error for call in ecs.calls] == ["ServerException"] * 2 + [
        "EndpointConnectionError",
        "ReadTimeoutError",
        None,
    ]
    assert ecs.count("RunTask") == 4


def test_ten_thousand_tasks_are_quick(clock: Clock) -> None:
    ecs = make(clock, quotas=UNLIMITED)
    began = time.process_time()
    for _ in range(1000):
        run(ecs, count=10)
    clock.now += 40
    assert len(ecs.running()) == 10_000
    assert len(ecs.reclaim(0.5)) == 5_000
    clock.now += 120
    ecs.advance()
    assert time.process_time() - began < 10


def test_quotas() -> None:
    quotas = FakeQuotas(spot=12)
    assert quotas.get_service_quota(ServiceCode="fargate", QuotaCode="L-36FBB829")["Quota"]["Value"] == 12
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="fargate", QuotaCode="L-00000000")
    with pytest.raises(ParamValidationError):
        quotas.get_service_quota(ServiceCode="fargate")
