"""The wait for the scheduler, on the strict fake: what it waits for, and what it says when that does not come."""

from __future__ import annotations

import pytest

from infra.dynamic.refusals import AwsRefused, AwsUnavailable, ClusterMissing, ServiceMissing
from infra.dynamic.scheduler_address import SchedulerNotReady
from tests.fakes.ecs import NO_CAPACITY, ON_DEMAND
from tests.infra.dynamic.world import CLUSTER, Bench, inputs, scheduler


def failure(bench: Bench, **changes: object) -> str:
    with pytest.raises(SchedulerNotReady) as caught:
        bench.scheduler.create(inputs(scheduler(), **changes))
    return str(caught.value)


def test_waits_until_the_task_runs_and_its_container_is_healthy() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    result = bench.scheduler.create(inputs(scheduler()))
    (task,) = bench.fake.tasks.values()
    assert (task.status, task.health) == ("RUNNING", "HEALTHY")
    assert result.id == f"{CLUSTER}/scheduler"
    assert result.outs == {
        **inputs(scheduler()),
        "ip": task.ip,
        "task_arn": task.arn,
        "address": f"tcp://{task.ip}:8786",
    }
    assert 50 <= bench.clock.passed < 60  # 40 s to RUNNING, 10 s to HEALTHY


def test_scheme_and_port_are_the_address_s() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    outs = bench.scheduler.create(inputs(scheduler(), scheme="tls", port=9000.0, service="scheduler")).outs
    assert outs is not None
    assert outs["address"] == f"tls://{outs['ip']}:9000"


def test_a_task_of_an_older_definition_does_not_count() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler(6))
    bench.clock.sleep(100)
    (old,) = bench.fake.running()
    assert old.health == "HEALTHY"
    bench.clock.at(130, lambda: bench.fake.services.update("scheduler", scheduler(7)))
    outs = bench.scheduler.create(inputs(scheduler(7))).outs
    assert outs is not None
    (new,) = bench.fake.running()
    assert new.definition.revision == 7
    assert outs["task_arn"] == new.arn != old.arn
    assert bench.clock.passed >= 130 + 2 + 40 + 10


def test_one_that_never_gets_healthy_ends_at_the_timeout() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler(health_after=None))
    message = failure(bench, timeout=120.0)
    assert bench.clock.passed == pytest.approx(120)
    assert "none became ready within 120 s" in message
    assert "RUNNING, container 'scheduler' is UNKNOWN (has its definition a health check?)" in message
    assert "raise `timeout`" in message
    assert CLUSTER in message
    assert "'scheduler'" in message
    assert scheduler().arn in message


def test_one_that_is_still_pending() -> None:
    bench = Bench(latency=lambda _: 4000.0)
    bench.fake.services.create("scheduler", scheduler())
    assert "PROVISIONING, container 'scheduler' is UNKNOWN\n" in failure(bench, timeout=60.0)


def test_unhealthy_tasks_are_waited_out_until_enough_have_stopped() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler(healthy=False))
    message = failure(bench)
    assert "5 tasks of it have stopped, one after the other" in message
    assert message.count("has stopped: Task failed container health checks; container 'scheduler': exit code 0") == 3
    assert bench.clock.passed < 300


def test_unhealthy_ones_before_a_healthy_one_do_no_harm() -> None:
    bench = Bench()
    definition = scheduler(healthy=False)
    bench.fake.services.create("scheduler", definition)
    bench.clock.at(170, lambda: setattr(definition, "healthy", True))
    bench.scheduler.create(inputs(definition))
    assert [task.health for task in bench.fake.tasks.values()] == ["UNHEALTHY"] * 3 + ["HEALTHY"]


def test_tasks_that_stop_tell_ecs_s_reason() -> None:
    bench = Bench()
    reason = "CannotPullContainerError: pull image manifest has been retried 7 time(s): not found"
    bench.fake.fail_starts(reason)
    bench.fake.services.create("scheduler", scheduler())
    message = failure(bench)
    assert message.count(f"has stopped: {reason}") == 3
    assert "(service scheduler) has started 1 tasks" in message


def test_exit_code_and_reason_of_the_container() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())

    def crash() -> None:
        for task in bench.fake.running():
            bench.fake.exit(task.id, 137, "OutOfMemoryError: Container killed due to memory usage")

    for second in range(40, 600, 5):
        bench.clock.at(second, crash)
    text = "Essential container in task exited; container 'scheduler': exit code 137, OutOfMemoryError"
    assert text in failure(bench)


def test_those_that_had_stopped_before_do_not_end_a_new_wait() -> None:
    bench = Bench()
    bench.fake.fail_starts("ResourceInitializationError: unable to pull secrets", 5)
    bench.fake.services.create("scheduler", scheduler())
    bench.clock.sleep(110)
    assert len([task for task in bench.fake.tasks.values() if task.status == "STOPPED"]) == 5
    bench.scheduler.create(inputs(scheduler()))


def test_a_deployment_that_the_circuit_breaker_gave_up_ends_the_wait() -> None:
    bench = Bench()
    bench.fake.fail_starts("CannotPullContainerError: not found")
    bench.fake.services.create("scheduler", scheduler(), breaker=True)
    message = failure(bench)
    assert "its deployment has failed (ECS deployment circuit breaker: tasks failed to start.)" in message
    assert "--force-new-deployment" in message
    assert message.count("CannotPullContainerError") == 3
    assert bench.clock.passed < 130


def test_one_that_was_rolled_back_ends_the_wait_as_well() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler(6), breaker=True, rollback=True)
    bench.clock.sleep(100)
    bench.fake.fail_starts("CannotPullContainerError: not found", 3)
    bench.fake.services.update("scheduler", scheduler(7))
    assert "its deployment has failed" in failure(bench)


def test_a_deployment_that_failed_before_the_newest_of_the_same_definition_does_not_count() -> None:
    bench = Bench()
    definition = scheduler()
    bench.fake.fail_starts("CannotPullContainerError: not found", 3)
    bench.fake.services.create("scheduler", definition, breaker=True)
    bench.clock.sleep(150)
    bench.fake.services.update("scheduler", definition)
    bench.scheduler.create(inputs(definition))


def test_a_service_that_runs_something_else_is_given_a_minute() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler(6))
    message = failure(bench)
    assert f"the service runs {scheduler(6).arn}" in message
    assert "pulumi refresh" in message
    assert 60 <= bench.clock.passed < 70


def test_a_service_that_wants_no_task() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    bench.fake.services.update("scheduler", desired=0)
    assert "desiredCount is 0" in failure(bench)
    assert bench.clock.passed < 70


def test_a_minute_begins_anew_when_the_service_was_right_in_between() -> None:
    bench = Bench(latency=lambda _: 4000.0)
    bench.fake.services.create("scheduler", scheduler())
    for second, desired in ((5, 0), (50, 1), (70, 0), (120, 1)):
        bench.clock.at(second, lambda desired=desired: bench.fake.services.update("scheduler", desired=desired))  # type: ignore[misc]
    assert "within 150 s" in failure(bench, timeout=150.0)


def test_a_task_that_cannot_be_placed_is_told_by_the_service_s_events() -> None:
    bench = Bench()
    bench.fake.set_capacity(ON_DEMAND, 0)
    bench.fake.services.create("scheduler", scheduler())
    assert f"(service scheduler) was unable to place a task. Reason: {NO_CAPACITY}" in failure(bench, timeout=60.0)


def test_a_container_of_another_name_is_not_waited_for() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    message = failure(bench, container="dask")
    assert "its tasks have no container 'dask', only scheduler" in message
    assert bench.clock.passed == 0


def test_service_and_cluster_that_are_not_there() -> None:
    bench = Bench()
    with pytest.raises(ServiceMissing, match=r"no service .*service/tidegate/scheduler in cluster .*MISSING"):
        bench.scheduler.create(inputs(scheduler()))
    with pytest.raises(ClusterMissing, match=r"Cluster not found.*region and account"):
        bench.scheduler.create(inputs(scheduler(), cluster=CLUSTER.replace("tidegate", "other")))
    bench.fake.services.create("scheduler", scheduler())
    bench.fake.services.delete("scheduler")
    with pytest.raises(ServiceMissing, match="INACTIVE"):
        bench.scheduler.create(inputs(scheduler()))
    assert bench.clock.sleeps == []


def test_access_denied_says_what_to_allow() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    bench.fake.fail_next("ListTasks", "AccessDeniedException", "User: x is not authorized to perform: ecs:ListTasks")
    with pytest.raises(AwsRefused, match=r"not authorized.*must be allowed ecs:ListTasks"):
        bench.scheduler.create(inputs(scheduler()))
    assert bench.clock.sleeps == []


def test_throttling_is_waited_out() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    bench.clock.sleep(60)
    bench.clock.sleeps.clear()
    bench.fake.fail_next("DescribeServices", "ThrottlingException", "Rate exceeded", times=4)
    bench.scheduler.create(inputs(scheduler()))
    assert bench.clock.sleeps == [0.375, 0.75, 1.5, 3.0]


def test_throttling_is_not_waited_out_for_ever() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    bench.fake.fail_next("DescribeServices", "ThrottlingException", "Rate exceeded", times=1000)
    with pytest.raises(AwsUnavailable, match=r"ecs:DescribeServices failed 10 times, last with ThrottlingException"):
        bench.scheduler.create(inputs(scheduler()))
    with pytest.raises(AwsUnavailable, match="failed 3 times"):
        bench.scheduler.create(inputs(scheduler(), timeout=2.0))


def test_whoever_looks_is_who_was_named() -> None:
    bench = Bench()
    bench.fake.services.create("scheduler", scheduler())
    bench.scheduler.create(
        inputs(scheduler(), profile="ops", role_arn="arn:aws:iam::1:role/x", endpoint_url="http://e")
    )
    (access,) = bench.accesses
    assert (access.region, access.profile) == ("eu-central-1", "ops")
    assert (access.role_arn, access.endpoint_url) == ("arn:aws:iam::1:role/x", "http://e")
