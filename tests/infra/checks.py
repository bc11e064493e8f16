"""All checks over one recorded program."""

from __future__ import annotations

from collections.abc import Mapping

from tests.infra import containers, wheel_types
from tests.infra.recording import Graph


def check(graph: Graph, emitted: Mapping[str, Mapping[str, frozenset[frozenset[str]]]]) -> list[str]:
    found = [m for r in graph.resources for m in wheel_types.problems(r)]
    return found + [m for r in graph.of("aws:ecs/taskDefinition:TaskDefinition") for m in containers.problems(r)]
