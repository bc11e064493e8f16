"""The whole Pulumi program under the recording engine, and the settings that it is tried with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from infra.__main__ import main
from infra.place import find_place
from infra.policy.rules import Seen
from tests.infra.recording import UNKNOWN, Graph, Recorded, record

REGION = {"aws:region": "us-east-1"}

DEVELOPMENT: Mapping[str, str] = {"tier": "development"}
PRODUCTION: Mapping[str, str] = {
    "tier": "production",
    "domain": "compute.example.com",
    "hostedZone": "Z0123456789ABC",
    "alarmEmail": "ops@example.com",
    "workersMin": "1",
    "workersMax": "100",
    "onDemandBase": "1",
    "daskTls": "true",
}
IMAGES = {
    f"{service}Image": f"210987654321.dkr.ecr.eu-west-1.amazonaws.com/shared/{service}:1.4"
    for service in ("api", "autoscaler", "worker")
}
COMBINATIONS: Mapping[str, Mapping[str, str]] = {
    "development": DEVELOPMENT,
    "production": PRODUCTION,
    "no NAT": {"nat": "none"},
    "with a domain": {"domain": "compute.example.com", "hostedZone": "Z0123456789ABC"},
    "no NAT, no quotas endpoint, everything on": {
        **PRODUCTION, "nat": "none", "serviceQuotasEndpoint": "false", "sharedFiles": "true",
    },
    "three zones": {"availabilityZones": "3", "nat": "per-zone"},
    "internal": {"internal": "true", "ingressCidrs": "10.0.0.0/8, 192.168.0.0/16"},
    "given images": IMAGES,
    "no NAT, given images": {
        "nat": "none", **{key: image.replace("eu-west-1", "us-east-1") for key, image in IMAGES.items()},
    },
    "images from elsewhere": {f"{s}Image": f"registry.example.com/{s}:2" for s in ("api", "autoscaler", "worker")},
    "an author's package": {"computations": "mine==1.2", "computeModules": "services.compute.tasks,mine"},
    "ARM": {"platform": "linux/arm64"},
    "Redis OSS with replicas": {"cacheEngine": "redis", "cacheReplicas": "2", "cacheSnapshotDays": "3"},
    "shared files": {"sharedFiles": "true", "workerEgressCidrs": '["10.20.0.0/16"]'},
    "TLS inside": {"daskTls": "true"},
    "large workers": {"workerCpu": "16384", "workerMemory": "122880", "workerStorage": "200", "workerProcesses": "16"},
    "alarms to a topic": {"alarmTopic": "arn:aws:sns:us-east-1:123456789012:ops"},
    "small network": {"vpcCidr": "10.1.0.0/22", "zoneMask": "23", "workersMax": "50"},
    "always on demand": {"useSpot": "false", "workersMin": "2", "observeOnly": "true"},
}  # fmt: skip


def run(
    settings: Mapping[str, str],
    *,
    stack: str = "dev",
    project: str = "tidegate",
    preview: bool = False,
    aws: Mapping[str, str] | None = None,
) -> Graph:
    """Run the program with these settings; the same ones only once, since nobody changes a graph.

    Args:
        settings: of the stack, by key.
        stack: name of the stack.
        project: name of the project.
        preview: whether it is a preview.
        aws: configuration of the AWS provider beyond its region, by key.
    """
    keys = {f"tidegate:{key}": value for key, value in settings.items()}
    keys |= {f"aws:{key}": value for key, value in (aws or {}).items()}
    return _run(frozenset(keys.items()), stack, project, preview)


@lru_cache(maxsize=64)
def _run(keys: frozenset[tuple[str, str]], stack: str, project: str, preview: bool) -> Graph:
    return record(
        lambda: main(find_place()),
        config={**REGION, **dict(keys)},
        stack=stack,
        project=project,
        preview=preview,
        outputs={"SchedulerAddress": _address},
    )


def graph_of(name: str) -> Graph:
    """The program as it was recorded with a combination of settings."""
    return run(COMBINATIONS[name])


def _address(resource: Recorded) -> Mapping[str, str]:
    """What the dynamic resource finds once a scheduler is healthy."""
    ip = "10.0.1.7"
    return {"ip": ip, "address": f"{resource.inputs['scheme']}://{ip}:{int(resource.inputs['port'])}"}


def seen(graph: Graph) -> list[Seen]:
    """The graph as the policy pack's rules see it, without what a preview does not know."""
    return [
        Seen(each.urn, each.type, each.name, known(each.inputs), each.options.protect, each.property_dependencies)
        for each in graph.resources
    ]


def known(value: Any) -> Any:
    """A copy without unknown parts."""
    if isinstance(value, Mapping):
        return {key: known(inner) for key, inner in value.items() if inner is not UNKNOWN}
    if isinstance(value, (list, tuple)):
        return [known(inner) for inner in value if inner is not UNKNOWN]
    return value


def container(graph: Graph, service: str) -> dict[str, Any]:
    """The container of a service's task definition."""
    (definition,) = json.loads(task_definition(graph, service).inputs["containerDefinitions"])
    return dict(definition)


def task_definition(graph: Graph, service: str) -> Recorded:
    """A service's task definition."""
    return graph.one("aws:ecs/taskDefinition:TaskDefinition", f"tidegate-dev-{service}")


def variables(graph: Graph, service: str) -> dict[str, str]:
    """Variables of a service's container that are in the clear."""
    return {each["name"]: each["value"] for each in container(graph, service)["environment"]}
