"""What becomes of a scheduler's address later: refresh, changed inputs, update, delete."""

from __future__ import annotations

from typing import Any

import pytest

from infra.dynamic.refusals import AwsRefused, AwsUnavailable
from infra.dynamic.scheduler_address import SchedulerNotReady
from tests.infra.dynamic.world import CLUSTER, Bench, inputs, scheduler


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    return bench


@pytest.fixture
def outs(bench: Bench) -> dict[str, Any]:
    result = bench.scheduler.create(inputs(scheduler())).outs
    assert result is not None
    return result


def test_refresh_finds_the_same_task(bench: Bench, outs: dict[str, Any]) -> None:
    result = bench.scheduler.read("id", outs)
    assert (result.id, result.outs) == ("id", outs)


def test_refresh_while_the_task_is_replaced_keeps_the_address_and_then_finds_the_new_one(
    bench: Bench, outs: dict[str, Any]
) -> None:
    (old,) = bench.fake.running()
    bench.fake.exit(old.id, 1)
    bench.clock.sleeps.clear()
    during = bench.scheduler.read("id", outs)
    assert (during.id, during.outs) == ("id", outs)
    assert bench.clock.sleeps == []
    bench.clock.sleep(50)
    (new,) = bench.fake.running()
    after = bench.scheduler.read("id", outs)
    assert after.id == "id"
    assert after.outs == {**outs, "ip": new.ip, "task_arn": new.arn, "address": f"tcp://{new.ip}:8786"}
    assert new.ip != old.ip


def test_refresh_when_the_service_is_gone(bench: Bench, outs: dict[str, Any]) -> None:
    bench.fake.services.delete("scheduler")
    result = bench.scheduler.read("id", outs)
    assert (result.id, result.outs) == ("", {})


def test_refresh_when_the_cluster_is_gone(bench: Bench, outs: dict[str, Any]) -> None:
    result = bench.scheduler.read("id", {**outs, "cluster": CLUSTER + "2"})
    assert (result.id, result.outs) == ("", {})


@pytest.mark.parametrize("what", ["cluster", "service"])
def test_refresh_from_another_account_does_not_say_that_all_is_gone(
    bench: Bench, outs: dict[str, Any], what: str
) -> None:
    bench.account = "999999999999"
    with pytest.raises(AwsRefused, match=r"account 123456789012's, and these credentials are account 999999999999's"):
        bench.scheduler.read("id", {**outs, what: outs[what] + "2"})


def test_refresh_without_permission_fails(bench: Bench, outs: dict[str, Any]) -> None:
    bench.fake.fail_next("DescribeServices", "AccessDeniedException", "no")
    with pytest.raises(AwsRefused, match="ecs:DescribeServices"):
        bench.scheduler.read("id", outs)


def test_refresh_is_bounded(bench: Bench, outs: dict[str, Any]) -> None:
    bench.fake.fail_next("DescribeServices", "ThrottlingException", "Rate exceeded", times=1000)
    before = bench.clock.now()
    with pytest.raises(AwsUnavailable):
        bench.scheduler.read("id", outs)
    assert bench.clock.now() - before <= 20


OTHERS = {
    "task_definition": scheduler(8).arn,
    "container": "x",
    "scheme": "tls",
    "port": 1.0,
    "profile": "x",
    "role_arn": "x",
    "endpoint_url": "x",
}


@pytest.mark.parametrize("name", OTHERS)
def test_most_changes_resolve_anew(outs: dict[str, Any], bench: Bench, name: str) -> None:
    result = bench.scheduler.diff("id", outs, inputs(scheduler(), **{name: OTHERS[name]}))
    assert (result.changes, result.replaces) == (True, [])


@pytest.mark.parametrize("name", ["cluster", "service", "region"])
def test_another_scheduler_is_another_resource(outs: dict[str, Any], bench: Bench, name: str) -> None:
    result = bench.scheduler.diff("id", outs, inputs(scheduler(), **{name: "x"}))
    assert (result.changes, result.replaces) == (True, [name])


@pytest.mark.parametrize("changes", [{}, {"timeout": 1.0}, {"poll_interval": 1.0}, {"port": 8786}, {"__provider": "x"}])
def test_nothing_to_do(outs: dict[str, Any], bench: Bench, changes: dict[str, Any]) -> None:
    result = bench.scheduler.diff("id", outs, inputs(scheduler(), **changes))
    assert (result.changes, result.replaces) == (False, [])


def test_an_input_that_is_taken_away_is_a_change(bench: Bench, outs: dict[str, Any]) -> None:
    assert bench.scheduler.diff("id", {**outs, "profile": "x"}, inputs(scheduler())).changes


def test_update_waits_for_the_new_definition(bench: Bench, outs: dict[str, Any]) -> None:
    bench.fake.services.update("scheduler", scheduler(8))
    before = bench.clock.now()
    result = bench.scheduler.update("id", outs, inputs(scheduler(8))).outs
    (new,) = bench.fake.running()
    assert bench.clock.now() - before >= 52
    assert result == {
        **inputs(scheduler(8)),
        "ip": new.ip,
        "task_arn": new.arn,
        "address": f"tcp://{new.ip}:8786",
    }


def test_update_that_fails_says_so(bench: Bench, outs: dict[str, Any]) -> None:
    with pytest.raises(SchedulerNotReady):
        bench.scheduler.update("id", outs, inputs(scheduler(8), timeout=30.0))


def test_delete_touches_nothing(bench: Bench, outs: dict[str, Any]) -> None:
    calls = len(bench.fake.calls)
    bench.scheduler.delete("id", outs)
    assert len(bench.fake.calls) == calls
    assert len(bench.fake.running()) == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"task_definition": scheduler().arn.removesuffix(":7")}, "task_definition"),
        ({"timeout": 0.0}, "timeout"),
        ({"poll_interval": -1.0}, "poll_interval"),
    ],
)
def test_inputs_that_would_be_waited_for_in_vain(bench: Bench, changes: dict[str, Any], name: str) -> None:
    assert [failure.property for failure in bench.scheduler.check({}, inputs(scheduler(), **changes)).failures] == [
        name
    ]


def test_inputs_that_are_right_or_not_known_yet() -> None:
    provider = Bench().scheduler
    for changes in ({}, {"task_definition": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}, {"timeout": None}):
        result = provider.check({}, inputs(scheduler(), **changes))
        assert result.failures == []
        assert result.inputs == inputs(scheduler(), **changes)
