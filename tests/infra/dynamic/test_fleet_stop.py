"""The end of a fleet, on the strict fake: it stops what is the fleet's, all of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from infra.dynamic.aws import World
from infra.dynamic.fleet_stop import STOP_RATE, TIMEOUT, FleetStillRuns, timeout_for
from infra.dynamic.refusals import AwsRefused, AwsUnavailable
from infra.settings import StackSettings
from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.model import Capacity, Launch
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import ON_DEMAND, Definition, FakeTask
from tests.fakes.ecs_limits import UNLIMITED
from tests.infra.dynamic.world import CLUSTER, Bench, fleet_inputs, scheduler

(MAX_WORKERS,) = (limit.le for limit in StackSettings.model_fields["workers_max"].metadata if hasattr(limit, "le"))
WORKER = Definition("worker", 1, stop_timeout=120.0)


def make(**options: Any) -> Bench:
    return Bench(definitions=[WORKER, Definition("batch", 3)], **options)


def launch(bench: Bench, count: int = 3, fleet: str = "dev/blue", family: str = "worker:1") -> list[FakeTask]:
    """Start machines as the autoscaler of a fleet does."""
    settings = EcsSettings(
        ecs_cluster="tidegate",
        worker_task_definition=family,
        worker_subnets="subnet-1",
        worker_security_groups="sg-1",
        fleet_name=fleet,
    )
    autoscaler = EcsFleet(bench.fake, settings, bench.clock.now)
    token = f"token-{len(bench.fake.calls)}"
    ids = autoscaler.launch(Launch(token, count, Capacity.SPOT, family.partition(":")[2], bench.clock.now())).ids
    return [bench.fake.tasks[machine] for machine in ids]


def statuses(tasks: list[FakeTask]) -> set[str]:
    return {task.status for task in tasks}


def test_stops_all_tasks_of_the_fleet_and_waits_until_they_are_gone() -> None:
    bench = make(drain=100.0)
    tasks = launch(bench) + launch(bench, 2, family="batch:3")
    bench.clock.sleep(60)
    pending = launch(bench, 1)
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(tasks + pending) == {"STOPPED"}
    assert {task.stopped_reason for task in tasks} == {"The stack that fleet dev/blue belongs to is destroyed"}
    assert 160 <= bench.clock.passed < 175
    assert bench.fake.count("StopTask") == 6


def test_another_fleet_in_the_same_cluster_goes_on_and_so_does_the_scheduler() -> None:
    bench = make()
    ours, theirs = launch(bench), launch(bench, fleet="dev/green")
    bench.fake.services.create("scheduler", scheduler())
    bench.clock.sleep(60)
    launch(bench, fleet="dev/green")
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(ours) == {"STOPPED"}
    assert statuses(theirs) == {"RUNNING"}
    assert len(bench.fake.running()) >= 4
    assert bench.fake.count("StopTask") == 3


def run(bench: Bench, **changes: Any) -> FakeTask:
    """Start one task with some of the fleet's marks."""
    parameters = {
        "cluster": CLUSTER,
        "taskDefinition": "worker:1",
        "launchType": ON_DEMAND,
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        **changes,
    }
    return bench.fake.tasks[bench.fake.run_task(**parameters)["tasks"][0]["taskArn"].rpartition("/")[2]]


def test_half_a_mark_is_not_enough() -> None:
    bench = make()
    tag = [{"key": "tidegate:fleet", "value": "dev/blue"}]
    started = run(bench, startedBy="tidegate/dev/blue")
    tagged = run(bench, startedBy="somebody", tags=tag)
    bench.fleet_stop.delete("id", fleet_inputs())
    assert {started.desired, tagged.desired} == {"RUNNING"}
    assert bench.fake.count("StopTask") == 0


def test_one_that_drains_and_is_only_tagged_is_not_waited_for() -> None:
    bench = make(drain=None)
    task = run(bench, startedBy="somebody", tags=[{"key": "tidegate:fleet", "value": "dev/blue"}])
    bench.clock.sleep(60)
    bench.fake.stop_task(cluster="tidegate", task=task.id)
    bench.fleet_stop.delete("id", fleet_inputs())
    assert task.status == "STOPPING"


def test_what_others_have_stopped_is_described_once() -> None:
    bench = make(drain=30.0)
    for task in launch(bench, fleet="dev/green"):
        bench.fake.stop_task(cluster="tidegate", task=task.id)
    launch(bench)
    bench.clock.sleep(60)
    bench.fleet_stop.delete("id", fleet_inputs())
    asked = [len(call.parameters["tasks"]) for call in bench.fake.calls if call.operation == "DescribeTasks"]
    assert asked[0] == 6
    assert set(asked[1:]) == {3}


def test_one_that_no_listing_shows_any_more_is_waited_for() -> None:
    bench = make(drain=100.0)
    tasks = launch(bench)
    bench.clock.sleep(60)
    bench.clock.at(61, lambda: setattr(bench.fake, "list_tasks", lambda **_: {"taskArns": []}))
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(tasks) == {"STOPPED"}


def test_nothing_to_stop_takes_two_looks() -> None:
    bench = make()
    bench.fleet_stop.delete("id", fleet_inputs())
    assert bench.clock.sleeps == [5.0]
    assert bench.fake.count("StopTask") == 0


def test_those_that_already_drain_are_waited_for_and_not_told_again() -> None:
    bench = make(drain=None)
    tasks = launch(bench)
    bench.clock.sleep(60)
    for task in tasks:
        bench.fake.stop_task(cluster="tidegate", task=task.id)
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(tasks) == {"STOPPED"}
    assert bench.fake.count("StopTask") == 3
    assert bench.clock.passed >= 60 + 120


def test_those_that_are_started_meanwhile_are_found() -> None:
    bench = make(drain=30.0)
    launch(bench)
    bench.clock.sleep(60)
    late: list[FakeTask] = []
    bench.clock.at(62, lambda: late.extend(launch(bench, 2)))
    bench.clock.at(95, lambda: late.extend(launch(bench, 1)))
    bench.fleet_stop.delete("id", fleet_inputs())
    assert len(late) == 3
    assert {task.status for task in bench.fake.tasks.values()} == {"STOPPED"}


def test_those_that_show_up_between_the_two_looks_are_found() -> None:
    bench = make()
    late: list[FakeTask] = []
    bench.clock.at(3, lambda: late.extend(launch(bench, 2)))
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(late) == {"STOPPED"}


def test_two_looks_that_find_nothing_must_follow_each_other() -> None:
    bench = make(drain=1.0)
    late: list[FakeTask] = []
    bench.clock.at(3, lambda: late.extend(launch(bench, 1)))  # between the first look and the second
    bench.clock.at(13, lambda: late.extend(launch(bench, 1)))  # between the third, which finds nothing, and the fourth
    bench.fleet_stop.delete("id", fleet_inputs())
    assert len(late) == 2
    assert statuses(late) == {"STOPPED"}


def test_a_large_fleet_is_paced_below_the_account_s_quota() -> None:
    bench = make(quotas=None)
    tasks = [task for _ in range(9) for task in launch(bench, 10)]
    bench.clock.sleep(100)
    tasks += [task for _ in range(9) for task in launch(bench, 10)]
    before = bench.clock.now()
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(tasks) == {"STOPPED"}
    assert not [call for call in bench.fake.calls if call.error]
    told = [call.at - before for call in bench.fake.calls if call.operation == "StopTask"]
    assert len(told) == 180
    assert told[49] == 0
    assert told[-1] == pytest.approx(130 / 30, abs=0.1)


def test_listings_have_pages_and_descriptions_a_hundred() -> None:
    bench = make(quotas=UNLIMITED)
    tasks = [task for _ in range(25) for task in launch_unlimited(bench)]
    bench.fleet_stop.delete("id", fleet_inputs())
    assert len(tasks) == 250
    assert statuses(tasks) == {"STOPPED"}
    assert max(len(call.parameters["tasks"]) for call in bench.fake.calls if call.operation == "DescribeTasks") == 100


def test_the_largest_fleet_that_can_be_set_is_gone_in_the_time_that_is_reckoned_for_it() -> None:
    bench = make(quotas=UNLIMITED, drain=None)
    workers = MAX_WORKERS
    tasks = [task for _ in range(workers // 10) for task in launch_unlimited(bench)]
    bench.clock.sleep(60)
    before = bench.clock.now()
    bench.fleet_stop.delete("id", fleet_inputs(timeout=timeout_for(workers)))
    assert statuses(tasks) == {"STOPPED"}
    assert TIMEOUT < bench.clock.now() - before < timeout_for(workers)


def test_a_fleet_s_time_is_reckoned_from_its_size() -> None:
    assert timeout_for(0) == TIMEOUT
    assert timeout_for(10_000) - timeout_for(9_999) > 1 / STOP_RATE


def launch_unlimited(bench: Bench) -> list[FakeTask]:
    marks = {"startedBy": "tidegate/dev/blue", "tags": [{"key": "tidegate:fleet", "value": "dev/blue"}]}
    run(bench, **marks, count=10)
    return list(bench.fake.tasks.values())[-10:]


def test_throttled_stops_are_made_again() -> None:
    bench = make()
    tasks = launch(bench)
    bench.fake.fail_next("StopTask", "ThrottlingException", "Rate exceeded", times=3)
    bench.fleet_stop.delete("id", fleet_inputs())
    assert statuses(tasks) == {"STOPPED"}
    assert bench.clock.sleeps[:3] == [0.375, 0.75, 1.5]


def test_throttling_without_end_is_an_error() -> None:
    bench = make()
    launch(bench)
    bench.fake.fail_next("StopTask", "ThrottlingException", "Rate exceeded", times=1000)
    with pytest.raises(AwsUnavailable, match="ecs:StopTask failed 10 times"):
        bench.fleet_stop.delete("id", fleet_inputs())


def test_a_stop_that_ecs_has_forgotten_is_as_good() -> None:
    bench = make()
    launch(bench, 1)
    bench.fake.fail_next("StopTask", "InvalidParameterException", "The referenced task was not found.")
    bench.fleet_stop.delete("id", fleet_inputs())


@pytest.mark.parametrize("operation", ["ListTasks", "DescribeTasks", "StopTask"])
def test_access_denied_says_what_to_allow(operation: str) -> None:
    bench = make()
    launch(bench)
    bench.fake.fail_next(operation, "AccessDeniedException", "no")
    with pytest.raises(AwsRefused, match=f"must be allowed ecs:{operation}"):
        bench.fleet_stop.delete("id", fleet_inputs())


def test_those_that_do_not_go_are_told_of_at_the_timeout() -> None:
    bench = make(drain=None)
    tasks = launch(bench, 7)
    bench.clock.sleep(60)
    before = bench.clock.now()
    with pytest.raises(FleetStillRuns) as caught:
        bench.fleet_stop.delete("id", fleet_inputs(timeout=30.0))
    assert 30 <= bench.clock.now() - before <= 40
    message = str(caught.value)
    assert f"7 tasks of fleet 'dev/blue' are still in cluster {CLUSTER} after 30 s" in message
    assert message.count("is STOPPING, wanted STOPPED") == 5
    assert "run `pulumi destroy` again: it goes on from here, for another 30 s" in message
    assert "tidegate:workersMax" in message
    assert "raise" not in message, "no setting is this time"
    assert statuses(tasks) == {"STOPPING"}


def test_a_cluster_that_is_gone_has_no_fleet() -> None:
    bench = make()
    bench.fleet_stop.delete("id", fleet_inputs(cluster=CLUSTER + "2"))
    assert bench.fake.count("ListTasks") == 1


def test_a_cluster_that_another_account_does_not_see_is_not_gone() -> None:
    bench = make()
    bench.account = "999999999999"
    with pytest.raises(AwsRefused, match=r"account 123456789012's, and these credentials are account 999999999999's"):
        bench.fleet_stop.delete("id", fleet_inputs(cluster=CLUSTER + "2"))


def test_a_cluster_that_another_region_does_not_see_is_not_gone() -> None:
    bench = make()
    with pytest.raises(AwsRefused, match=r"in eu-central-1, and eu-west-1 was asked.* Set aws:region to eu-central-1"):
        bench.fleet_stop.delete("id", fleet_inputs(cluster=CLUSTER + "2", region="eu-west-1"))


def test_who_cannot_tell_the_account_does_not_say_that_a_cluster_is_gone() -> None:
    bench = make()

    def nobody(_: object) -> str:
        raise AwsRefused("cannot tell whose account this is")

    bench.fleet_stop.world = World(bench.fleet_stop.world.connect, bench.clock, nobody)
    with pytest.raises(AwsRefused, match="cannot tell"):
        bench.fleet_stop.delete("id", fleet_inputs(cluster=CLUSTER + "2"))


def test_a_cluster_that_goes_meanwhile() -> None:
    bench = make()
    launch(bench)
    bench.fake.fail_next("StopTask", "ClusterNotFoundException", "The referenced cluster was inactive.")
    bench.fleet_stop.delete("id", fleet_inputs())


def test_the_rest_of_its_life_asks_nobody() -> None:
    bench = make()
    provider = bench.fleet_stop
    created = provider.create(fleet_inputs())
    assert (created.id, created.outs) == (f"{CLUSTER}/dev/blue", fleet_inputs())
    read = provider.read("id", fleet_inputs())
    assert (read.id, read.outs) == ("id", fleet_inputs())
    assert provider.update("id", fleet_inputs(), fleet_inputs(profile="x")).outs == fleet_inputs(profile="x")
    assert bench.accesses == []


@pytest.mark.parametrize(
    ("changes", "changed", "replaces"),
    [
        ({}, False, []),
        ({"__provider": "x"}, False, []),
        ({"timeout": 300}, False, []),
        ({"timeout": 600.0}, True, []),
        ({"profile": "x"}, True, []),
        ({"region": "x"}, True, []),
        ({"cluster": "x"}, True, ["cluster"]),
        ({"fleet_name": "x", "timeout": 1.0}, True, ["fleet_name"]),
    ],
)
def test_changes(changes: dict[str, Any], changed: bool, replaces: list[str]) -> None:
    result = make().fleet_stop.diff("id", fleet_inputs(), fleet_inputs(**changes))
    assert (result.changes, result.replaces) == (changed, replaces)
