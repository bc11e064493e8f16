"""What Pulumi stores of a dynamic provider, and what a process of its own makes of that."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dill
import grpc
import pulumi
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import proto, rpc
from pulumi.runtime.proto import provider_pb2_grpc

from infra.dynamic.fleet_stop import FleetStop, FleetStopProvider
from infra.dynamic.scheduler_address import SchedulerAddress, SchedulerAddressProvider
from tests.fakes.ecs import FakeEcs
from tests.fakes.ecs_server import EcsServer
from tests.infra.dynamic.world import CLUSTER, REGION, FakeClock, fleet_inputs, inputs, scheduler
from tests.infra.recording import record

ROOT = Path(__file__).parents[3]
PROVIDERS: dict[type[ResourceProvider], tuple[str, str]] = {
    SchedulerAddressProvider: ("infra.dynamic.scheduler_address", "SchedulerAddressProvider"),
    FleetStopProvider: ("infra.dynamic.fleet_stop", "FleetStopProvider"),
}


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_is_stored_as_the_name_of_its_class(kind: type[ResourceProvider]) -> None:
    stored = base64.b64decode(serialize_provider(kind()))
    module, name = PROVIDERS[kind]
    assert module.encode() in stored
    assert name.encode() in stored
    assert len(stored) < 120
    assert type(dill.loads(stored)) is kind
    assert kind.serialize_as_secret_always is False


def test_resources_register_their_inputs() -> None:
    def program() -> None:
        given = inputs(scheduler(), timeout=None, poll_interval=None, scheme=None, port=None, __provider=None)
        address = SchedulerAddress("scheduler", **given)
        FleetStop("fleet", cluster=CLUSTER, fleet_name="dev/blue", region=REGION, profile="ops")
        pulumi.export("address", address.address)

    given = {"ip": "10.0.0.7", "task_arn": "arn", "address": "tcp://10.0.0.7:8786"}
    graph = record(program, outputs={"pulumi-python:dynamic/tidegate:SchedulerAddress": lambda _: given})
    assert graph.exports == {"address": "tcp://10.0.0.7:8786"}
    address = dict(graph.named("scheduler").inputs)
    assert isinstance(address.pop("__provider"), str)
    assert address == inputs(scheduler(), __provider=None)
    fleet = dict(graph.named("fleet").inputs)
    assert isinstance(fleet.pop("__provider"), str)
    assert fleet == {"cluster": CLUSTER, "fleet_name": "dev/blue", "region": REGION, "profile": "ops", "timeout": 300}


def test_importing_the_resources_brings_no_boto3_and_no_service_s_dependencies() -> None:
    script = """
import sys
import infra.dynamic.scheduler_address, infra.dynamic.fleet_stop
heavy = {"boto3", "botocore", "pydantic", "pydantic_settings", "dask", "distributed", "redis"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# ---- the process that Pulumi starts for dynamic providers ----


@contextmanager
def provider_process(environment: dict[str, str]) -> Iterator[Any]:
    """A `pulumi.dynamic` server as the engine starts it: in `infra/`, spoken to over gRPC."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pulumi.dynamic"],
        cwd=ROOT / "infra",
        env={**environment, "PYTHONPATH": str(ROOT), "PULUMI_PROJECT": "tidegate", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


def struct(values: dict[str, Any]) -> Any:
    return asyncio.run(rpc.serialize_properties(values, {}))


def plain(answer: Any) -> dict[str, Any]:
    return dict(rpc.deserialize_properties(answer))


def test_the_life_of_an_address_in_pulumi_s_own_process_with_the_region_as_an_input_only() -> None:
    clock = FakeClock()
    fake = FakeEcs(clock.now, latency=lambda _: 40.0, drain=2.0)
    fake.services.create("scheduler", scheduler())
    clock.sleep(60)
    with EcsServer(fake) as server:
        environment = {
            name: value for name, value in server.environment().items() if "REGION" not in name and "URL" not in name
        }
        given = inputs(scheduler(), __provider=serialize_provider(SchedulerAddressProvider()), endpoint_url=server.url)
        with provider_process(environment) as provider:
            checked = provider.Check(proto.CheckRequest(olds=struct({}), news=struct(given)), timeout=30)
            assert not checked.failures
            created = provider.Create(proto.CreateRequest(properties=checked.inputs), timeout=30)
            outs = plain(created.properties)
            (task,) = fake.running()
            assert outs == {**given, "ip": task.ip, "task_arn": task.arn, "address": f"tcp://{task.ip}:8786"}
            same = provider.Diff(proto.DiffRequest(id=created.id, olds=struct(outs), news=struct(given)), timeout=30)
            assert same.changes == proto.DiffResponse.DIFF_NONE
            request = proto.ReadRequest(id=created.id, properties=created.properties)
            assert plain(provider.Read(request, timeout=30).properties) == outs
            fake.services.delete("scheduler")
            gone = provider.Read(request, timeout=30)
            assert gone.id == ""
            with pytest.raises(grpc.RpcError, match="ServiceMissing: there is no service"):
                provider.Create(proto.CreateRequest(properties=checked.inputs), timeout=30)
            provider.Delete(proto.DeleteRequest(id=created.id, properties=created.properties), timeout=30)


def test_the_end_of_a_fleet_in_pulumi_s_own_process() -> None:
    with EcsServer(FakeEcs(FakeClock().now)) as server:
        given = fleet_inputs(
            __provider=serialize_provider(FleetStopProvider()), endpoint_url=server.url, cluster=CLUSTER + "2"
        )
        with provider_process(server.environment()) as provider:
            created = provider.Create(proto.CreateRequest(properties=struct(given)), timeout=30)
            assert plain(created.properties) == given
            answer = provider.Delete(proto.DeleteRequest(id=created.id, properties=created.properties), timeout=30)
            assert answer == Empty()
        assert server.fake.count("ListTasks") == 1
