"""The fake ECS over HTTP, with real boto3, and tasks that are real processes."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from services.autoscaler.errors import FleetThrottled, FleetUnavailable, LaunchRefused
from services.autoscaler.fleet.ecs import EcsFleet, open_ecs_fleet
from services.autoscaler.model import Capacity, Ended, Ending, FleetView, Launch, Phase
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import SPOT, Definition
from tests.fakes.ecs_processes import ProcessFleet
from tests.fakes.quotas import FakeQuotas
from tests.harness.process import Managed, alive
from tests.harness.waiting import eventually

PROGRAM = """
import json, os, signal, sys, time, urllib.request

def term(number, frame):
    print("drained", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("DEAF") else term)
with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task", timeout=5) as answer:
    print(json.load(answer)["TaskARN"], os.environ["GREETING"], sorted(os.environ), flush=True)
if "STATUS" in os.environ:
    sys.exit(int(os.environ["STATUS"]))
time.sleep(600)
"""


def definition(revision: int, timeout: float = 20.0, **environment: str) -> Definition:
    return Definition(
        "worker",
        revision,
        command=(sys.executable, "-c", PROGRAM),
        environment={"GREETING": "hello", **environment},
        stop_timeout=timeout,
    )


DEFINITIONS = [
    definition(1),
    definition(2, timeout=0.3, DEAF="yes"),
    definition(3, STATUS="3"),
    Definition("worker", 4, command=("/does/not/exist",)),
]


@pytest.fixture
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessFleet]:
    with ProcessFleet(
        tmp_path, DEFINITIONS, latency=0.05, service_quotas=FakeQuotas(spot=8), image={"LANG": "C"}
    ) as bridge:
        for name, value in bridge.server.environment().items():
            monkeypatch.setenv(name, value)
        yield bridge
        pids = list(bridge.pids.values())
    assert not [pid for pid in pids if alive(pid)]


@pytest.fixture
def fleet(bridge: ProcessFleet) -> Iterator[EcsFleet]:
    settings = EcsSettings(
        ecs_cluster="tidegate",
        worker_task_definition="worker:1",
        worker_subnets="subnet-1",
        worker_security_groups="sg-1",
        worker_vcpu=4,
    )
    fleet = open_ecs_fleet(settings)
    yield fleet
    fleet.close()


def launch(fleet: EcsFleet, revision: int = 1, count: int = 1, token: str = "token") -> list[str]:
    launched = fleet.launch(Launch(token, count, Capacity.SPOT, str(revision), time.time()))
    assert (launched.refused, launched.no_capacity) == ((), 0)
    return list(launched.ids)


def running(fleet: EcsFleet, count: int) -> FleetView:
    def probe() -> FleetView | None:
        view = fleet.observe()
        return view if [machine.phase for machine in view.machines] == [Phase.RUNNING] * count else None

    return eventually(probe, f"{count} tasks run")


def ended(fleet: EcsFleet) -> Ended:
    return eventually(lambda: fleet.observe().ended, "a task has ended")[0]


def greeted(bridge: ProcessFleet, task: str) -> str:
    return eventually(lambda: bridge.log(task).read_text() if bridge.log(task).exists() else "", "the task speaks")


def test_a_task_is_a_process_with_the_environment_of_its_definition(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    before = time.time()
    ids = launch(fleet, count=2)
    view = running(fleet, 2)
    assert sorted(machine.id for machine in view.machines) == sorted(ids)
    for machine in view.machines:
        assert before - 1 < machine.created_at <= (machine.billed_from or 0) < time.time() + 1
        assert machine.capacity is Capacity.SPOT
        text = greeted(bridge, machine.id)
        assert f"task/tidegate/{machine.id} hello" in text
        assert "'LANG'" in text
        assert "'HOME'" not in text
    assert bridge.alive().keys() == set(ids)


def test_stopping_drains(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    (task,) = launch(fleet)
    running(fleet, 1)
    greeted(bridge, task)
    fleet.stop(task, "not needed")
    end = ended(fleet)
    assert (end.id, end.ending) == (task, Ending.STOPPED)
    assert end.reason == "not needed; container 'worker': exit code 0"
    assert "drained" in bridge.log(task).read_text()
    assert fleet.observe() == FleetView((), (), frozenset({task}))


def test_one_that_ignores_sigterm_is_killed_after_its_timeout(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    (task,) = launch(fleet, revision=2)
    running(fleet, 1)
    greeted(bridge, task)
    assert bridge.fake.reclaim([task]) == [task]
    assert fleet.observe().machines[0].phase is Phase.STOPPING
    end = ended(fleet)
    assert end.ending is Ending.RECLAIMED
    assert "exit code 137" in end.reason
    eventually(lambda: not alive(bridge.pids[task]), "its process is gone")


def test_one_that_ends_by_itself(fleet: EcsFleet) -> None:
    launch(fleet, revision=3)
    end = ended(fleet)
    assert (end.ending, end.reason) == (
        Ending.EXITED,
        "Essential container in task exited; container 'worker': exit code 3",
    )


def test_one_that_cannot_be_run(fleet: EcsFleet) -> None:
    launch(fleet, revision=4)
    end = ended(fleet)
    assert end.ending is Ending.EXITED
    assert "exit code 127" in end.reason


def test_one_that_is_killed_from_outside(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    (task,) = launch(fleet)
    running(fleet, 1)
    os.kill(bridge.pids[task], 9)
    assert "exit code 137" in ended(fleet).reason


def test_tasks_outlive_the_process_that_asked_for_them(bridge: ProcessFleet, fleet: EcsFleet, tmp_path: Path) -> None:
    script = """
from services.autoscaler.fleet.ecs import open_ecs_fleet
from services.autoscaler.model import Capacity, Launch
from services.autoscaler.settings import EcsSettings
import os, signal
fleet = open_ecs_fleet(EcsSettings())
fleet.launch(Launch("their-token", 2, Capacity.ON_DEMAND, "1", 0.0))
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {
        **bridge.server.environment(),
        "ECS_CLUSTER": "tidegate",
        "WORKER_TASK_DEFINITION": "worker:1",
        "WORKER_SUBNETS": "subnet-1",
        "WORKER_SECURITY_GROUPS": "sg-1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    process = Managed("launcher", [sys.executable, "-c", script], environment, tmp_path)
    process.start()
    assert process.wait() == -9, process.tail()
    view = running(fleet, 2)
    assert {machine.capacity for machine in view.machines} == {Capacity.ON_DEMAND}
    again = fleet.launch(Launch("their-token", 2, Capacity.ON_DEMAND, "1", time.time()))
    assert sorted(again.ids) == sorted(machine.id for machine in view.machines)
    assert len(bridge.fake.tasks) == 2


def test_errors_arrive_as_boto3_makes_them(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    with pytest.raises(LaunchRefused, match="ClientException: TaskDefinition not found"):
        launch(fleet, revision=99)
    bridge.fake.fail_next("ListTasks", "ServerException", "we are sorry")
    with pytest.raises(FleetUnavailable, match="ServerException: we are sorry"):
        fleet.observe()
    bridge.fake.fail_next("ListTasks", "ThrottlingException", "Rate exceeded")
    with pytest.raises(FleetThrottled, match="Rate exceeded"):
        fleet.observe()
    bridge.fake.set_capacity(SPOT, 0)
    launched = fleet.launch(Launch("other", 2, Capacity.SPOT, "1", 0.0))
    assert (launched.ids, launched.no_capacity) == ((), 2)


def test_an_answer_that_is_lost(bridge: ProcessFleet, fleet: EcsFleet) -> None:
    bridge.fake.lose_answer()
    with pytest.raises(FleetUnavailable, match="run_task of ECS"):
        launch(fleet, count=3)
    assert len(launch(fleet, count=3)) == 3
    assert len(bridge.fake.tasks) == 3


def test_quotas_over_http(fleet: EcsFleet) -> None:
    (message,) = fleet.check(3)
    assert "'Fargate Spot vCPU resource count' (L-36FBB829) is 8 vCPUs" in message
    assert fleet.check(2) == ()


def test_what_is_not_asked_rightly(bridge: ProcessFleet) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client("ecs", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError, match="InvalidParameterException"):
        client.list_tasks(cluster=7)
    with pytest.raises(ClientError, match="UnknownOperationException"):
        client.list_clusters()
    client.close()
    request = urllib.request.Request(f"{bridge.server.url}/v4/nobody/task")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=5)
    assert json.load(caught.value)["message"] == "no metadata at /v4/nobody/task"
    caught.value.close()
