"""Task definitions: a sound one passes, and each thing that ECS refuses is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra import containers, programs
from tests.infra.wire import UNKNOWN

KIND = "aws:ecs/taskDefinition:TaskDefinition"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"
CONTAINER: dict[str, Any] = {
    "name": "api",
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/tidegate/api:1",
    "essential": True,
    "command": ["services.api"],
    "portMappings": [{"containerPort": 8000, "protocol": "tcp", "name": "http", "appProtocol": "http"}],
    "environment": [{"name": "REDIS_URL", "value": "rediss://x"}],
    "secrets": [{"name": "REDIS_PASSWORD", "valueFrom": SECRET}],
    "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp"}],
    "healthCheck": {"command": ["CMD", "true"], "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 30},
    "stopTimeout": 120,
    "readonlyRootFilesystem": True,
    "linuxParameters": {"initProcessEnabled": True},
    "ulimits": [{"name": "nofile", "softLimit": 65536, "hardLimit": 65536}],
    "logConfiguration": {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/a", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api"},
    },
}
TASK: dict[str, Any] = {
    "family": "tidegate-dev-api",
    "requiresCompatibilities": ["FARGATE"],
    "networkMode": "awsvpc",
    "cpu": "1024",
    "memory": "2048",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64"},
    "ephemeralStorage": {"sizeInGib": 21.0},
    "volumes": [{"name": "tmp"}],
}

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def _problems(change: Change = lambda task, container: None) -> list[str]:
    task, container = copy.deepcopy(TASK), copy.deepcopy(CONTAINER)
    change(task, container)
    task.setdefault("containerDefinitions", json.dumps([container]))
    return containers.problems(programs.bare(KIND, task))


def test_a_sound_definition_passes() -> None:
    assert _problems() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t, c: t.update(containerDefinitions="[{"), "containerDefinitions is no JSON"),
        (lambda t, c: t.update(containerDefinitions="[]"), "has no containers"),
        (lambda t, c: t.update(containerDefinitions=json.dumps({"name": "api"})), "Invalid type"),
        (lambda t, c: c.update(enviroment=[]), 'Unknown parameter in containerDefinitions[0]: "enviroment"'),
        (lambda t, c: c["healthCheck"].update(startPeriods=1), 'healthCheck: "startPeriods"'),
        (lambda t, c: c["environment"].append({"name": "WORKERS", "value": 1}), "Invalid type"),
        (lambda t, c: c["environment"].append({"name": "WORKERS", "value": None}), "Invalid type"),
        (lambda t, c: c.update(command="services.api"), "Invalid type"),
        (lambda t, c: c["secrets"].append({"name": "A"}), "Missing required parameter"),
        (lambda t, c: c["logConfiguration"].update(logDriver="cloudwatch"), "not one of"),
        (lambda t, c: c["portMappings"][0].update(protocol="http"), "not one of"),
        (lambda t, c: t.update(family="a b"), "family is 'a b'"),
        (lambda t, c: t.update(containerDefinitions=json.dumps([c, c])), "container 'api' is there 2 times"),
        (lambda t, c: c.update(essential=False), "no container is essential"),
        (lambda t, c: c["environment"][0].update(value="x" * 70_000), "more than 65536 bytes"),
        (lambda t, c: t["volumes"].clear(), "volume 'tmp' is mounted and does not exist"),
        (lambda t, c: t["volumes"].append({"name": "state"}), "volume 'state' is mounted nowhere"),
        (lambda t, c: t["volumes"].append({"name": "tmp"}), "volume 'tmp' is there 2 times"),
        (lambda t, c: t["volumes"][0].update(hostPath="/x"), "is on a host"),
        (lambda t, c: c["mountPoints"].append({"sourceVolume": "tmp", "containerPath": "/tmp"}), "mounted path '/tmp'"),
        (lambda t, c: c["mountPoints"][0].update(containerPath="tmp"), "give an absolute containerPath"),
        (
            lambda t, c: c.update(dependsOn=[{"containerName": "init", "condition": "START"}]),
            "depends on 'init', which does not exist",
        ),
        (
            lambda t, c: c.update(dependsOn=[{"containerName": "api", "condition": "HEALTHY"}]) or c.pop("healthCheck"),
            "which has no healthCheck",
        ),
        (lambda t, c: t.update(networkMode="bridge"), "Fargate has awsvpc only"),
        (lambda t, c: t.update(memory="1024"), "cpu 1024 and memory 1024 are no pair of Fargate's"),
        (lambda t, c: t.update(cpu="1000"), "cpu is one of [256, 512"),
        (lambda t, c: t.update(cpu="8192", memory="17408"), "no pair of Fargate's"),
        (lambda t, c: t.update(cpu="1 vCPU"), "give CPU units and MiB as digits"),
        (lambda t, c: t.pop("memory"), "give CPU units and MiB as digits"),
        (lambda t, c: t["runtimePlatform"].update(cpuArchitecture="arm64"), "cpuArchitecture is 'arm64'"),
        (lambda t, c: t["runtimePlatform"].update(operatingSystemFamily="linux"), "operatingSystemFamily is 'linux'"),
        (lambda t, c: t["ephemeralStorage"].update(sizeInGib=20.0), "sizeInGib is 20, not 21 to 200"),
        (lambda t, c: t["ephemeralStorage"].update(sizeInGib=201.0), "sizeInGib is 201, not 21 to 200"),
        (lambda t, c: t.pop("executionRoleArn"), "executionRoleArn is missing"),
        (lambda t, c: c.update(cpu=2048), "want cpu 2048, the task has 1024"),
        (lambda t, c: c.update(memory=4096), "has memory 4096, the task 2048"),
        (lambda t, c: c.update(memoryReservation=4096), "want memoryReservation 4096"),
        (lambda t, c: c.update(name="a.b"), "its name is not"),
        (lambda t, c: c.update(image=""), "image is missing"),
        (lambda t, c: c.update(stopTimeout=121), "stopTimeout is 121, not 0 to 120"),
        (lambda t, c: c.update(startTimeout=121), "startTimeout is 121, not 0 to 120"),
        (lambda t, c: c["healthCheck"].update(command=["true"]), "begin with CMD or CMD-SHELL"),
        (lambda t, c: c["healthCheck"].update(command=["CMD"]), "and give a command"),
        (lambda t, c: c["healthCheck"].update(interval=4), "healthCheck.interval is 4, not 5 to 300"),
        (lambda t, c: c["healthCheck"].update(timeout=61), "healthCheck.timeout is 61, not 2 to 60"),
        (lambda t, c: c["healthCheck"].update(retries=0), "healthCheck.retries is 0, not 1 to 10"),
        (lambda t, c: c["healthCheck"].update(startPeriod=301), "healthCheck.startPeriod is 301, not 0 to 300"),
        (
            lambda t, c: c["environment"].append(c["environment"][0]),
            "environment variable 'REDIS_URL' is there 2 times",
        ),
        (lambda t, c: c["secrets"].append(c["secrets"][0]), "secret 'REDIS_PASSWORD' is there 2 times"),
        (
            lambda t, c: c["environment"].append({"name": "REDIS_PASSWORD", "value": "x"}),
            "REDIS_PASSWORD is in environment and in secrets",
        ),
        (lambda t, c: c["environment"].append({"name": "A"}), "give name and value"),
        (lambda t, c: c["secrets"][0].update(valueFrom="token"), "give an ARN of Secrets Manager or SSM"),
        (lambda t, c: c["secrets"][0].update(valueFrom=f"{SECRET}:key"), "give an ARN of Secrets Manager or SSM"),
        (lambda t, c: c.pop("logConfiguration"), "logConfiguration is missing"),
        (lambda t, c: c["logConfiguration"]["options"].pop("awslogs-group"), "has no awslogs-group"),
        (lambda t, c: c["logConfiguration"]["options"].pop("awslogs-region"), "has no awslogs-region"),
        (lambda t, c: c["logConfiguration"]["options"].pop("awslogs-stream-prefix"), "has no awslogs-stream-prefix"),
        (lambda t, c: c["logConfiguration"]["options"].update({"max-buffer-size": "4m"}), "only mode non-blocking has"),
        (lambda t, c: c["portMappings"][0].update(hostPort=80), "hostPort 80 is not containerPort 8000"),
        (lambda t, c: c.update(privileged=True), "privileged is set, which Fargate does not have"),
        (lambda t, c: c["linuxParameters"].update(maxSwap=1), "linuxParameters.maxSwap is set"),
        (
            lambda t, c: c["linuxParameters"].update(capabilities={"add": ["NET_ADMIN"]}),
            "Fargate allows SYS_PTRACE only",
        ),
        (lambda t, c: c["ulimits"][0].update(name="nproc"), "ulimit nproc is set"),
        (lambda t, c: c["ulimits"][0].update(softLimit=70_000), "softLimit 70000 is more than hardLimit 65536"),
    ],
)
def test_what_ecs_refuses_is_found(change: Change, problem: str) -> None:
    found = _problems(change)
    assert any(text.startswith(f"{KIND} 'it': ") and problem in text for text in found), found


@pytest.mark.parametrize(
    "change",
    [
        lambda t, c: t.update(containerDefinitions=UNKNOWN),
        lambda t, c: t.update(executionRoleArn=UNKNOWN, cpu=UNKNOWN),
        lambda t, c: t.update(cpu="16384", memory="122880"),
        lambda t, c: t.update(cpu="256", memory="512"),
        lambda t, c: t.pop("ephemeralStorage"),
        lambda t, c: t.pop("runtimePlatform"),
        lambda t, c: c["portMappings"][0].update(hostPort=8000),
        lambda t, c: c["secrets"][0].update(valueFrom=f"{SECRET}:key::"),
        lambda t, c: c["secrets"][0].update(valueFrom="arn:aws:ssm:us-east-1:123456789012:parameter/a/b"),
    ],
)
def test_what_ecs_takes_passes(change: Change) -> None:
    assert _problems(change) == []
