"""Task definitions: what hides in their JSON, against the shapes of AWS's API and against what ECS refuses.

Limits are those of https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from tests.infra.graph import Recorded
from tests.infra.wire import UNKNOWN

FARGATE_SIZES: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
    8192: range(16384, 61440 + 1, 4096),
    16384: range(32768, 122880 + 1, 8192),
}
"""MiB of memory that a Fargate task of so many CPU units can have."""

HEALTH_LIMITS: Mapping[str, tuple[int, int]] = {
    "interval": (5, 300),
    "timeout": (2, 60),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}
STOP_TIMEOUT_MAX = 120
START_TIMEOUT_MAX = 120
EPHEMERAL_STORAGE = (21, 200)
SIZE_MAX = 65_536

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SECRET = re.compile(
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:[^:]+(:[^:]*:[^:]*:[^:]*)?|ssm:[a-z0-9-]+:\d{12}:parameter/.+)"
)
_LOG_OPTIONS = ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")
_NOT_ON_FARGATE = ("disableNetworking", "dnsSearchDomains", "dnsServers", "extraHosts", "links", "privileged")

Container = Mapping[str, Any]


def problems(task_definition: Recorded) -> list[str]:
    """What ECS would refuse of a task definition, or take and not do as meant."""
    text = task_definition.inputs.get("containerDefinitions")
    if text is UNKNOWN:
        return []
    try:
        containers = json.loads(text or "")
    except (TypeError, ValueError) as error:
        return [f"{task_definition.where}: containerDefinitions is no JSON: {error}"]
    wrong = list(_shape_problems(task_definition, containers))
    if not wrong:  # what follows relies on the shapes
        wrong = [*_task_problems(task_definition, containers)]
        for container in containers:
            name = container.get("name", "?")
            wrong += [f"container {name!r}: {problem}" for problem in _container_problems(container, task_definition)]
    return [f"{task_definition.where}: {problem}" for problem in wrong]


# Shapes.


@cache
def _request() -> StructureShape:
    model = ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")
    shape: StructureShape = model.operation_model("RegisterTaskDefinition").input_shape
    return shape


def _shape_problems(task: Recorded, containers: Any) -> Iterator[str]:
    if not containers:
        yield "containerDefinitions has no containers"
        return
    request = {"family": task.inputs.get("family") or task.name, "containerDefinitions": containers}
    report = ParamValidator().validate(request, _request())
    if report.has_errors():
        yield from report.generate_report().splitlines()
        return
    yield from _enum_problems(containers, _request().members["containerDefinitions"], "containerDefinitions")


def _enum_problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """botocore leaves words that AWS does not know to AWS."""
    if enum := getattr(shape, "enum", None):
        if value not in enum:
            yield f"{path} is {value!r}, not one of {', '.join(enum)}"
        return
    for item, inner, where in _inside(value, shape, path):
        yield from _enum_problems(item, inner, where)


def _inside(value: Any, shape: Shape, path: str) -> Iterator[tuple[Any, Shape, str]]:
    if isinstance(shape, StructureShape):
        yield from ((item, shape.members[key], f"{path}.{key}") for key, item in value.items() if key in shape.members)
    elif isinstance(shape, ListShape):
        yield from ((item, shape.member, f"{path}[{index}]") for index, item in enumerate(value))


# The task.


def _task_problems(task: Recorded, containers: Sequence[Container]) -> Iterator[str]:
    if len(json.dumps(containers, separators=(",", ":"))) > SIZE_MAX:
        yield f"its containers take more than {SIZE_MAX} bytes"
    family = task.inputs.get("family")
    if family is not UNKNOWN and not (isinstance(family, str) and _NAME.fullmatch(family)):
        yield f"family is {family!r}: take up to 255 letters, digits, hyphens and underscores"
    yield from _repeated("container", (container["name"] for container in containers))
    if not any(container.get("essential", True) for container in containers):
        yield "no container is essential, so the task would have no reason to end"
    yield from _volume_problems(task, containers)
    yield from _dependency_problems(containers)
    if "FARGATE" in (task.inputs.get("requiresCompatibilities") or ()):
        yield from _fargate_problems(task, containers)


def _volume_problems(task: Recorded, containers: Sequence[Container]) -> Iterator[str]:
    volumes = [volume.get("name") for volume in task.inputs.get("volumes") or ()]
    mounts = [mount for container in containers for mount in container.get("mountPoints", ())]
    mounted = {mount.get("sourceVolume") for mount in mounts}
    yield from _repeated("volume", volumes)
    for name in sorted(mounted - set(volumes), key=str):
        yield f"volume {name!r} is mounted and does not exist: add it to volumes"
    for name in volumes:
        if name not in mounted:
            yield f"volume {name!r} is mounted nowhere: mount it, or leave it out"


def _dependency_problems(containers: Sequence[Container]) -> Iterator[str]:
    by_name = {container["name"]: container for container in containers}
    for container in containers:
        for wanted in container.get("dependsOn", ()):
            other = by_name.get(wanted["containerName"])
            if other is None:
                yield f"container {container['name']!r} depends on {wanted['containerName']!r}, which does not exist"
            elif wanted["condition"] == "HEALTHY" and "healthCheck" not in other:
                yield f"container {container['name']!r} waits for {other['name']!r}, which has no healthCheck"


def _fargate_problems(task: Recorded, containers: Sequence[Container]) -> Iterator[str]:
    if task.inputs.get("networkMode") != "awsvpc":
        yield f"networkMode is {task.inputs.get('networkMode')!r}: Fargate has awsvpc only"
    yield from _size_problems(task, containers)
    platform = task.inputs.get("runtimePlatform") or {}
    architecture, system = platform.get("cpuArchitecture", "X86_64"), platform.get("operatingSystemFamily", "LINUX")
    if architecture not in ("X86_64", "ARM64", UNKNOWN):
        yield f"runtimePlatform.cpuArchitecture is {architecture!r}, not X86_64 or ARM64"
    if system not in ("LINUX", UNKNOWN):
        yield f"runtimePlatform.operatingSystemFamily is {system!r}: these images are for LINUX"
    storage = (task.inputs.get("ephemeralStorage") or {}).get("sizeInGib")
    low, high = EPHEMERAL_STORAGE
    if storage not in (None, UNKNOWN) and not low <= storage <= high:
        yield f"ephemeralStorage.sizeInGib is {storage:g}, not {low} to {high}; for Fargate's 20 leave it out"
    if not task.inputs.get("executionRoleArn"):
        yield "executionRoleArn is missing: Fargate could fetch neither images nor secrets, and write no logs"
    for volume in task.inputs.get("volumes") or ():
        if volume.get("hostPath") or volume.get("dockerVolumeConfiguration"):
            yield f"volume {volume.get('name')!r} is on a host, which Fargate does not have"


def _size_problems(task: Recorded, containers: Sequence[Container]) -> Iterator[str]:
    given = (task.inputs.get("cpu"), task.inputs.get("memory"))
    if UNKNOWN in given:
        return
    try:
        cpu, memory = (int(str(value)) for value in given)
    except ValueError:
        yield f"cpu and memory are {given[0]!r} and {given[1]!r}: give CPU units and MiB as digits"
        return
    if memory not in FARGATE_SIZES.get(cpu, ()):
        allowed = FARGATE_SIZES.get(cpu)
        cure = (
            f"cpu {cpu} takes memory {', '.join(map(str, allowed))}" if allowed else f"cpu is one of {[*FARGATE_SIZES]}"
        )
        yield f"cpu {cpu} and memory {memory} are no pair of Fargate's: {cure}"
    for key, total in (("cpu", cpu), ("memoryReservation", memory)):
        wanted = sum(container.get(key, 0) for container in containers)
        if wanted > total:
            yield f"its containers want {key} {wanted}, the task has {total}"
    for container in containers:
        if container.get("memory", 0) > memory:
            yield f"container {container['name']!r} has memory {container['memory']}, the task {memory}"


# Containers.


def _container_problems(container: Container, task: Recorded) -> Iterator[str]:
    if not _NAME.fullmatch(container.get("name", "")):
        yield "its name is not up to 255 letters, digits, hyphens and underscores"
    if not container.get("image"):
        yield "image is missing"
    for key, limit in (("stopTimeout", STOP_TIMEOUT_MAX), ("startTimeout", START_TIMEOUT_MAX)):
        if not 0 <= container.get(key, 0) <= limit:
            yield f"{key} is {container[key]}, not 0 to {limit}"
    for check in (_health_problems, _variable_problems, _log_problems, _mount_problems):
        yield from check(container)
    for mapping in container.get("portMappings", ()):
        port = mapping.get("containerPort")
        if task.inputs.get("networkMode") == "awsvpc" and mapping.get("hostPort", port) != port:
            yield f"hostPort {mapping['hostPort']} is not containerPort {port}, as awsvpc wants: leave hostPort out"
    if "FARGATE" in (task.inputs.get("requiresCompatibilities") or ()):
        yield from _container_on_fargate(container)


def _health_problems(container: Container) -> Iterator[str]:
    check = container.get("healthCheck")
    if check is None:
        return
    if not check["command"] or check["command"][0] not in ("CMD", "CMD-SHELL") or len(check["command"]) < 2:
        yield f"healthCheck.command is {check['command']}: begin with CMD or CMD-SHELL, and give a command"
    for key, (low, high) in HEALTH_LIMITS.items():
        if key in check and not low <= check[key] <= high:
            yield f"healthCheck.{key} is {check[key]}, not {low} to {high}"


def _variable_problems(container: Container) -> Iterator[str]:
    plain = [variable.get("name") for variable in container.get("environment", ())]
    secret = [variable["name"] for variable in container.get("secrets", ())]
    yield from _repeated("environment variable", plain)
    yield from _repeated("secret", secret)
    for name in sorted(set(plain) & set(secret)):
        yield f"{name} is in environment and in secrets: keep it in secrets"
    for variable in container.get("environment", ()):
        if not variable.get("name") or "value" not in variable:
            yield f"environment has {variable}: give name and value"
    for variable in container.get("secrets", ()):
        if not _SECRET.fullmatch(variable["valueFrom"]):
            yield f"secret {variable['name']} is from {variable['valueFrom']!r}: give an ARN of Secrets Manager or SSM"


def _log_problems(container: Container) -> Iterator[str]:
    configuration = container.get("logConfiguration")
    if configuration is None:
        yield "logConfiguration is missing: nobody would see its output"
        return
    if configuration["logDriver"] != "awslogs":
        return
    options = configuration.get("options", {})
    for key in _LOG_OPTIONS:
        if not options.get(key):
            yield f"logConfiguration.options has no {key}"
    if "max-buffer-size" in options and options.get("mode") != "non-blocking":
        yield "logConfiguration.options has max-buffer-size, which only mode non-blocking has"


def _mount_problems(container: Container) -> Iterator[str]:
    mounts = container.get("mountPoints", ())
    yield from _repeated("mounted path", (mount.get("containerPath") for mount in mounts))
    for mount in mounts:
        path = mount.get("containerPath")
        if not (isinstance(path, str) and path.startswith("/")):
            yield f"volume {mount.get('sourceVolume')!r} is mounted at {path!r}: give an absolute containerPath"


def _container_on_fargate(container: Container) -> Iterator[str]:
    yield from (f"{key} is set, which Fargate does not have" for key in _NOT_ON_FARGATE if container.get(key))
    linux = container.get("linuxParameters", {})
    for key in ("devices", "maxSwap", "sharedMemorySize", "swappiness"):
        if linux.get(key):
            yield f"linuxParameters.{key} is set, which Fargate does not have"
    added = set(linux.get("capabilities", {}).get("add", ())) - {"SYS_PTRACE"}
    if added:
        yield f"linuxParameters.capabilities adds {sorted(added)}: Fargate allows SYS_PTRACE only"
    for limit in container.get("ulimits", ()):
        if limit["name"] != "nofile":
            yield f"ulimit {limit['name']} is set: Fargate allows nofile only"
        elif limit["softLimit"] > limit["hardLimit"]:
            yield f"ulimit nofile: softLimit {limit['softLimit']} is more than hardLimit {limit['hardLimit']}"


def _repeated(what: str, names: Iterable[Any]) -> Iterator[str]:
    key: Callable[[Any], str] = str
    for name, times in sorted(Counter(names).items(), key=lambda found: key(found[0])):
        if times > 1:
            yield f"{what} {name!r} is there {times} times"
