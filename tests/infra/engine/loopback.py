"""What a container is told, on a machine that has neither its network nor its volumes: each change is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.process import free_port

LISTENS = ("API_PORT", "AUTOSCALER_PORT")
"""Variables with the port that a service listens at, of which there may be two here."""
EVERYWHERE = "0.0.0.0"
HERE = "127.0.0.1"


class Rewrite(NamedTuple):
    """A variable that is another one here.

    Attributes:
        family: of the task definition.
        name: of the variable.
        before: as the task definition has it.
        after: as the process has it.
    """

    family: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are here.

    Attributes:
        addresses: `host:port` in the stack, and here.
        scheduler_port: that the scheduler listens at.
    """

    addresses: Mapping[str, str]
    scheduler_port: int


def told(
    container: Mapping[str, Any], family: str, places: Places, volumes: Path
) -> tuple[dict[str, str], list[Rewrite]]:
    """Variables of a container that are in the clear, and what had to be changed in them."""
    mounts = {each["containerPath"]: str(volumes / each["sourceVolume"]) for each in container["mountPoints"]}
    found, rewrites = {}, []
    for each in container["environment"]:
        name, before = each["name"], each["value"]
        found[name] = after = _here(name, before, places, mounts)
        if after != before:
            rewrites.append(Rewrite(family, name, before, after))
    return found, rewrites


def _here(name: str, value: str, places: Places, mounts: Mapping[str, str]) -> str:
    if name in LISTENS:
        return str(free_port())
    if name == "SCHEDULER_PORT":
        return str(places.scheduler_port)
    if value == EVERYWHERE:
        return HERE
    if value in mounts:
        return mounts[value]
    scheme, separator, rest = value.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{places.addresses.get(place, place)}{slash}{path}" if separator else value
