"""All checks over one recorded graph."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from tests.infra import containers, iam, metrics, wheel_types
from tests.infra.graph import Graph
from tests.infra.metric_tables import Emitted
from tests.infra.wire import show, strings

TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"

_STRAY = re.compile(r"Calling __str__ on an Output|<pulumi\.output\.Output object")


def check(
    graph: Graph,
    emitted: Emitted,
    *,
    reasons: Mapping[str, str] | None = None,
    wildcards: Collection[str] = (),
) -> list[str]:
    """What AWS would refuse of a graph, or take and not do as meant; empty when there is nothing.

    Args:
        graph: recorded.
        emitted: the metrics that services of one's own write, by namespace and name.
        reasons: why an action is allowed on `*` although it knows resources, by action.
        wildcards: patterns of actions that may be allowed.
    """
    found: list[str] = []
    for resource in graph.resources:
        found += wheel_types.problems(resource)
    for definition in graph.of(TASK_DEFINITION):
        found += containers.problems(definition)
    for document in iam.documents(graph):
        found += iam.problems(
            document.document,
            where=document.where,
            kind=document.kind,
            limit=document.limit,
            wildcards=wildcards,
            reasons=reasons,
        )
    return [*found, *iam.sizes(graph), *metrics.problems(graph, emitted), *_strays(graph), *_deprecated(graph)]


def _strays(graph: Graph) -> Iterator[str]:
    """Outputs that were put into text before they had a value."""
    for resource in graph.resources:
        for path, text in strings(resource.inputs):
            if _STRAY.search(text):
                yield f"{resource.where}: {show(path)} has an Output in its text: use Output.concat, format or apply"
    for path, text in strings(graph.exports):
        if _STRAY.search(text):
            yield f"output {show(path)} has an Output in its text: use Output.concat, format or apply"


def _deprecated(graph: Graph) -> Iterator[str]:
    yield from (f"deprecated: {text}" for text in graph.warnings if "deprecated" in text)
