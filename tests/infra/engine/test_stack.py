"""What a development stack does when it is changed, when AWS changes behind its back, and when something goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.infra.engine.cloud import UNHEALTHY
from tests.infra.engine.harness import PLUGINS, ROOT, Cloud, Stack, short

ROWS: Mapping[str, Mapping[str, Any]] = tomllib.loads((Path(__file__).parent / "changes.toml").read_text())
"""Changes, and what they do."""
OPERATIONS = ("create", "update", "replace", "delete")


def expected(row: Mapping[str, Any]) -> dict[str, str]:
    """Operations of a row, by type and name."""
    found: dict[str, str] = {}
    for operation in OPERATIONS:
        for line in row.get(operation, ()):
            kind, *names = line.split()
            found |= {f"{kind}::tidegate-dev-{name}": operation for name in names}
    return found


def changes(stack: Stack) -> dict[str, str]:
    """What `up` would do, by type and name; components aside, whose steps say nothing."""
    found = {short(urn): op for urn, op in stack.preview().items() if "tidegate:components:" not in short(urn)}
    kinds = {"create-replacement": "replace", "delete-replaced": "replace"}
    return {name: kinds.get(op, op) for name, op in found.items()}


@contextmanager
def edited(path: Path, text: str) -> Iterator[None]:
    """A file with another text, for a while."""
    before = path.read_text()
    try:
        path.write_text(text)
        yield
    finally:
        path.write_text(before)


KEPT = {
    "aws:ec2/vpc:Vpc",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/routeTable:RouteTable",
    "aws:elasticache/replicationGroup:ReplicationGroup",
    "aws:s3/bucket:Bucket",
    "aws:ecs/cluster:Cluster",
    "aws:lb/loadBalancer:LoadBalancer",
}


def test_no_change_but_one_replaces_network_cache_or_bucket() -> None:
    ended = {
        name: {each.partition("::")[0] for each, op in expected(row).items() if op in ("replace", "delete")} & KEPT
        for name, row in ROWS.items()
    }
    assert {name: kinds for name, kinds in ended.items() if kinds} == {
        "engine of the cache": {"aws:elasticache/replicationGroup:ReplicationGroup"}
    }


@pytest.fixture(scope="module")
def zone(aws: Cloud) -> str:
    """A public zone for a domain, which is there before it."""
    made = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="x")
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


@pytest.mark.parametrize("name", ROWS)
def test_a_change_does_what_it_should_and_nothing_else(development: Stack, zone: str, name: str) -> None:
    row = ROWS[name]
    if "source" in row:
        path = development.directory / row["source"]
        with edited(path, path.read_text() + "# changed\n"):
            found = changes(development)
    else:
        path = development.directory / f"Pulumi.{development.name}.yaml"
        with edited(path, path.read_text()):
            development.set({f"tidegate:{key}": value.replace("ZONE", zone) for key, value in row["settings"].items()})
            found = changes(development)
    assert found == expected(row)


def pack(directory: Path) -> Path:
    """The policy pack as this language host can start it: an executable beside a `PulumiPolicy.yaml`."""
    directory.mkdir()
    (directory / "PulumiPolicy.yaml").write_text("runtime: python\ndescription: x\n")
    program = directory / "pack"
    program.write_text(f'#!/bin/sh\nexec python3 -u -m pulumi.policy "$1" {ROOT / "infra" / "policy"}\n')
    program.chmod(0o755)
    return program


def test_the_policy_pack_lets_the_program_through_and_stops_one_that_is_broken(
    development: Stack, tmp_path: Path
) -> None:
    arguments = ("preview", "--policy-pack", str(pack(tmp_path / "policy")), "--stack", "dev")
    development(*arguments)
    network = development.directory / "infra" / "components" / "network.py"
    kept = network.read_text()
    try:
        needle = "cidr_ipv4=ANYWHERE,"
        broken = kept.replace("aws.vpc.SecurityGroupEgressRule(", "aws.vpc.SecurityGroupIngressRule(")
        assert needle in broken
        network.write_text(broken)
        answer = development.run(*arguments)
    finally:
        network.write_text(kept)
    assert answer.status != 0
    assert "only-the-balancer-faces-the-world" in answer.output


def address_told(stack: Stack) -> str:
    """The scheduler's address in the autoscaler's present task definition."""
    ecs = stack.cloud.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    name = next(arn for arn in ecs.list_services(cluster=cluster)["serviceArns"] if "autoscaler" in arn)
    (service,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    told = {each["name"]: each["value"] for each in definition["containerDefinitions"][0]["environment"]}
    return str(told["SCHEDULER_ADDRESS"])


def scheduler_task(stack: Stack) -> tuple[str, str]:
    """ARN and address of the task that runs."""
    ecs = stack.cloud.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    name = next(arn for arn in ecs.list_services(cluster=cluster)["serviceArns"] if "scheduler" in arn)
    arns = ecs.list_tasks(cluster=cluster, serviceName=name.rpartition("/")[2])["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
    (task,) = [each for each in tasks if each["desiredStatus"] == "RUNNING"]
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    return str(task["taskArn"]), f"tcp://{details['privateIPv4Address']}:8786"


def test_the_schedulers_address_reaches_the_autoscaler_and_follows_a_new_scheduler(development: Stack) -> None:
    task, address = scheduler_task(development)
    assert address_told(development) == address == development.outputs()["scheduler_address"]
    ecs = development.cloud.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    ecs.stop_task(cluster=cluster, task=task, reason="the check ends it")
    end = time.monotonic() + 20
    while True:
        try:
            now = scheduler_task(development)
            if now[0] != task:
                break
        except (ValueError, IndexError):
            pass
        assert time.monotonic() < end, "ECS has started no other scheduler"
        time.sleep(0.2)
    development.refresh()
    development.up()
    assert address_told(development) == now[1] != address
    assert changes(development) == {}


def test_a_scheduler_that_never_becomes_healthy_fails_up_with_ecss_reason_and_the_next_up_recovers(
    development: Stack,
) -> None:
    source = development.directory / "infra" / "components" / "scheduler.py"
    before = source.read_text()
    try:
        needle = '"SCHEDULER_PORT": str(ports.SCHEDULER)'
        assert needle in before
        source.write_text(before.replace(needle, f'{needle}, "{UNHEALTHY}": "it cannot import anything"'))
        started = time.monotonic()
        answer = development.run("up", "--yes", "--skip-preview", "--stack", "dev")
        took = time.monotonic() - started
    finally:
        source.write_text(before)
    assert answer.status != 0
    assert "it cannot import anything" in answer.output, "ECS's own reason"
    assert took < 90
    development.up()
    assert changes(development) == {}


def started(stack: Stack) -> list[psutil.Process]:
    """Plugins of ours that an engine of this stack has started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = any(part.startswith(str(PLUGINS)) for part in process.cmdline())
            if ours and process.environ().get("PULUMI_HOME") == str(stack.directory / "home"):
                found.append(process)
    return found


def test_an_up_that_is_killed_in_the_middle_is_finished_by_the_next(development: Stack, tmp_path: Path) -> None:
    configuration = development.directory / "Pulumi.dev.yaml"
    before = configuration.read_text()
    development.set({"tidegate:alarmEmail": "ops@example.com", "tidegate:logDays": "30"})
    command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "dev", "--non-interactive"]
    process = subprocess.Popen(
        command, cwd=development.directory, env=development.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    sns, logs = development.cloud.client("sns"), development.cloud.client("logs")
    end = time.monotonic() + 60
    while not sns.list_topics()["Topics"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    plugins = {Path(each.cmdline()[1]).name for each in started(development)}
    assert {"pulumi-resource-aws", "pulumi-resource-awsx"} <= plugins
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
    end = time.monotonic() + 10
    while left := started(development):
        assert time.monotonic() < end, f"they outlive their engine: {left}"
        time.sleep(0.1)
    development.run("cancel", "--yes", "--stack", "dev")  # its lock
    # What was under way when it died is known as such; it may be there, and is made again.
    pending = development.export()["deployment"].get("pending_operations") or []
    under_way = [short(operation["resource"]["urn"]).partition("::")[0] for operation in pending]
    development("refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", "dev")
    development.up()
    assert changes(development) == {}
    topics = sns.list_topics()["Topics"]
    assert 1 <= len(topics) <= 1 + under_way.count("aws:sns/topic:Topic")
    groups = logs.describe_log_groups(logGroupNamePrefix="/tidegate/dev/")["logGroups"]
    assert {group["retentionInDays"] for group in groups} == {30}
    configuration.write_text(before)
    development.up()
