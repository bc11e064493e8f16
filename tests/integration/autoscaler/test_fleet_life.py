"""A fleet of real workers, scaled by a real autoscaler process over a fake ECS: what is lost, what is left, what runs.

After each: every task is DONE, nobody is left over, and a task runs at most once more for each time that a worker
which was killed had begun it and not recorded it.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.process import kill
from tests.harness.waiting import eventually
from tests.integration.autoscaler.cluster import Cluster

TASKS, SECONDS = 80, 1.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        yield made.start()
    except BaseException:
        made.stop(gently=False)
        raise
    made.stop()


def all_done_once(cluster: Cluster, ids: list[str], *, again: int = 0) -> None:
    """Every task is DONE, and at most so many ran a second time."""
    cluster.stack.client().done(ids, seconds=180)
    counts = cluster.ledger.counts()
    assert len(counts) == len(ids)
    assert sum(counts.values()) <= len(ids) + again, counts
    eventually(lambda: cluster.notes() == {}, "no note is left", seconds=60)


def test_a_burst_raises_the_fleet_from_1_to_8_and_its_end_lowers_it(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(8)
    all_done_once(cluster, ids)
    cluster.wait_alone()
    assert len(cluster.ecs.fake.tasks) == 8, "no machine was started that was not needed"
    (autoscaler,) = cluster.autoscalers
    decisions = cluster.decisions(autoscaler)
    assert {"desired", "reason", "waiting", "in_flight", "dask_target", "machines"} <= decisions[0].keys()
    assert max(decision["desired"] for decision in decisions) == 8
    eventually(lambda: cluster.fleet()["observed"]["machines"] == 1, "the others are known to be gone", pause=0.3)
    seen = cluster.fleet()
    assert any("start" in reason["reason"] for reason in seen["reasons"])
    port = autoscaler.environment["AUTOSCALER_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"tidegate_fleet_desired 1.0" in answer.read()


def test_machines_that_spot_reclaims_lose_nothing(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(6)
    cluster.ecs.fake.reclaim(1 / 3)
    time.sleep(3)
    cluster.ecs.fake.reclaim(1 / 3)
    all_done_once(cluster, ids)
    cluster.wait_alone()


def test_an_autoscaler_that_is_killed_leaks_nothing_and_its_successor_carries_on(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(3)
    for n in range(3):
        cluster.autoscalers[-1].kill()
        if n == 1:
            # Between RunTask and its answer: the call works, and nobody hears of it.
            cluster.ecs.fake.lose_answer("RunTask")
        cluster.add_autoscaler()
        time.sleep(4)
    all_done_once(cluster, ids)
    cluster.wait_alone()
    assert len(cluster.ecs.fake.tasks) <= 9


def test_the_lease_moves_within_seconds_when_its_holder_dies(cluster: Cluster) -> None:
    second = cluster.add_autoscaler()
    eventually(lambda: "stands by" in second.log.read_text() or second.log.stat().st_size > 0, "the second runs")
    ids = cluster.submit(40, SECONDS)
    cluster.wait_joined(4)
    cluster.autoscalers[0].kill()
    eventually(lambda: "autoscaler at work" in second.log.read_text(), "the second one acts", seconds=40)
    all_done_once(cluster, ids)
    cluster.wait_alone()
    assert len(cluster.ecs.fake.tasks) <= 8


def test_a_scheduler_that_is_killed_and_comes_back_costs_no_machine(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(4)
    cluster.stack.scheduler.kill()
    (autoscaler,) = cluster.autoscalers
    eventually(lambda: "holding" in autoscaler.log.read_text(), "it holds the fleet", seconds=30)
    machines = len(cluster.ecs.alive())
    time.sleep(3)
    assert len(cluster.ecs.alive()) == machines
    # Another one takes its place, under the second address.
    cluster.stack.restart_scheduler(port=cluster.stack.scheduler_ports[1])
    all_done_once(cluster, ids, again=machines)
    assert len(cluster.ecs.fake.tasks) == machines, "none was let go for want of tasks, and then missed"
    cluster.wait_alone()


def test_a_worker_that_is_killed_is_replaced(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(5)
    for pid in list(cluster.ecs.alive().values())[:2]:
        kill(pid)
    all_done_once(cluster, ids, again=2 * 2)
    cluster.wait_alone()


def test_new_code_rolls_out_under_load(cluster: Cluster) -> None:
    ids = cluster.submit(TASKS, SECONDS)
    cluster.wait_joined(6)
    cluster.autoscalers[0].terminate(20)
    cluster.add_autoscaler(WORKER_TASK_DEFINITION="worker:2")
    all_done_once(cluster, ids)
    cluster.wait_alone()
    (left,) = cluster.ecs.alive()
    assert cluster.ecs.fake.tasks[left].definition.revision == 2


def test_to_zero_and_up_again_on_the_first_task(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {"WORKERS_MIN": "0"})
    try:
        cluster.stack.start(workers=0)
        cluster.add_autoscaler()
        for n in range(2):
            ids = cluster.submit(1, 0.1, first=n)
            cluster.stack.client().done(ids, seconds=120)
            cluster.wait_alone(0)
    except BaseException:
        cluster.stop(gently=False)
        raise
    cluster.stop()


def test_observing_only_it_reports_and_starts_nothing(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {"OBSERVE_ONLY": "true", "WORKERS_MIN": "3"})
    try:
        cluster.stack.start(workers=1)
        cluster.add_autoscaler()
        eventually(lambda: cluster.fleet()["decided"], "it decides", seconds=60, pause=0.3)
        seen = cluster.fleet()
        assert (seen["observe_only"], seen["decided"]["desired"]) == (True, 3)
        assert seen["observed"]["dask_workers"] == 1
        assert cluster.ecs.fake.tasks == {}
    except BaseException:
        cluster.stop(gently=False)
        raise
    cluster.stop()
