"""What a machine is called."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from services.worker.machine import MachineUnknown, machine_name
from services.worker.settings import WorkerSettings
from tests.fakes.ecs import SPOT, Definition, FakeEcs
from tests.fakes.ecs_server import EcsServer


def settings(**values: Any) -> WorkerSettings:
    return WorkerSettings.model_validate({"worker_name": None, **values})


@pytest.fixture
def ecs() -> Iterator[EcsServer]:
    with EcsServer(FakeEcs(lambda: 0.0, definitions=[Definition("worker", 1)])) as server:
        yield server


def test_the_name_that_is_set_comes_first(ecs: EcsServer) -> None:
    assert machine_name(settings(worker_name="mine", ecs_container_metadata_uri_v4=ecs.metadata_url("x"))) == "mine"


def test_on_ecs_it_is_the_task(ecs: EcsServer) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    strategy = [{"capacityProvider": SPOT, "weight": 1}]
    answer = ecs.fake.run_task(
        cluster="tidegate", taskDefinition="worker:1", networkConfiguration=network, capacityProviderStrategy=strategy
    )
    task = answer["tasks"][0]["taskArn"].rpartition("/")[2]
    assert machine_name(settings(ecs_container_metadata_uri_v4=ecs.metadata_url(task))) == task


def test_elsewhere_it_is_the_host() -> None:
    assert machine_name(settings()) == socket.gethostname()


def test_an_endpoint_without_an_answer_is_an_error_not_another_name(
    ecs: EcsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.worker.machine.time.sleep", lambda _: None)
    with pytest.raises(MachineUnknown, match="metadata endpoint"):
        machine_name(settings(ecs_container_metadata_uri_v4=ecs.metadata_url("unknown")))
