"""Task definitions of the Pulumi program as a compose project: what Fargate would run, on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

OPEN_FILES_MAX = 20_000
"""Of a container here: test machines' engines allow no more."""
USED = frozenset(
    ("name", "image", "command", "essential", "user", "readonlyRootFilesystem", "linuxParameters", "ulimits")
) | frozenset(
    ("environment", "secrets", "mountPoints", "stopTimeout", "logConfiguration", "portMappings", "healthCheck")
)
"""What of a container definition is carried over or has no meaning here (log driver, ports of a network of its own)."""


def service(container: Mapping[str, Any], cpu: str, memory: str, image: str, secrets: Mapping[str, str]) -> Json:
    """A compose service that is what Fargate would make of a task definition.

    Args:
        container: its one container.
        cpu: units of the task.
        memory: MiB of the task.
        image: in place of the one in ECR, which it is.
        secrets: values of its secrets, by variable.

    Raises:
        ValueError: it says something that this does not carry over.
    """
    unknown = set(container) - USED
    if unknown:
        raise ValueError(f"the container of {container['name']} has {sorted(unknown)}: say what compose makes of it")
    linux = container["linuxParameters"]
    made: Json = {
        "image": image,
        "command": container["command"],
        "user": container["user"],
        "read_only": container["readonlyRootFilesystem"],
        "init": linux["initProcessEnabled"],
        "cap_drop": linux["capabilities"]["drop"],
        "cpus": int(cpu) / 1024,
        "mem_limit": f"{memory}m",
        "ulimits": {
            limit["name"]: {
                "soft": min(limit["softLimit"], OPEN_FILES_MAX),
                "hard": min(limit["hardLimit"], OPEN_FILES_MAX),
            }
            for limit in container["ulimits"]
        },
        "environment": {
            **{each["name"]: each["value"] for each in container["environment"]},
            **{each["name"]: secrets[each["name"]] for each in container["secrets"]},
        },
        "volumes": [
            {"type": "volume", "target": each["containerPath"], "read_only": each["readOnly"]}
            for each in container["mountPoints"]
        ],
        "stop_grace_period": f"{container['stopTimeout']}s",
    }
    health = container.get("healthCheck")
    if health is None:  # ECS ignores an image's
        made["healthcheck"] = {"disable": True}
    else:
        made["healthcheck"] = {
            "test": health["command"],
            "retries": health["retries"],
            "interval": f"{health['interval']}s",
            "timeout": f"{health['timeout']}s",
            "start_period": f"{health['startPeriod']}s",
        }
    return made


def host(address: str) -> str:
    """Of an address that a container is told: what a container must be called here to be found."""
    name = urlsplit(address).hostname
    if name is None:
        raise ValueError(f"{address} names no host")
    return name


def without_tls(services: Mapping[str, Json]) -> int:
    """Have Redis spoken to in the clear, since the server here has no certificate; how many addresses that changed."""
    changed = 0
    for made in services.values():
        url = made["environment"].get("REDIS_URL")
        if url is not None and url.startswith("rediss://"):
            made["environment"]["REDIS_URL"] = "redis://" + url.removeprefix("rediss://")
            changed += 1
    return changed
