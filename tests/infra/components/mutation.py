"""Makes one thing in a recorded graph wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.infra.components.stacks import PREFIX, TASK_DEFINITION
from tests.infra.graph import Graph, Recorded

Inputs = dict[str, Any]
Break = Callable[[Graph], Graph]


def each(choose: Callable[[Recorded], bool], change: Callable[[Recorded], Recorded]) -> Break:
    return lambda graph: replace(graph, resources=[change(one) if choose(one) else one for one in graph.resources])


def named(kind: str, part: str | None = None) -> Callable[[Recorded], bool]:
    """Resources of a type token or class name, or those of them with a name within the stack."""
    return lambda one: kind in (one.type, one.type.rpartition(":")[2]) and part in (None, one.name.removeprefix(PREFIX))


def inputs(kind: str, part: str | None, change: Callable[[Inputs], object]) -> Break:
    """Change inputs of resources."""

    def changed(one: Recorded) -> Recorded:
        values = copy.deepcopy(dict(one.inputs))
        change(values)
        return replace(one, inputs=values)

    return each(named(kind, part), changed)


def set_(kind: str, part: str | None = None, /, **values: Any) -> Break:
    return inputs(kind, part, lambda known: known.update(values))


def without(kind: str, key: str, part: str | None = None) -> Break:
    return inputs(kind, part, lambda known: known.pop(key, None))


def container(service: str, change: Callable[[Inputs], object]) -> Break:
    """Change the container of a task definition."""

    def changed(known: Inputs) -> None:
        (definition,) = json.loads(known["containerDefinitions"])
        change(definition)
        known["containerDefinitions"] = json.dumps([definition])

    return inputs(TASK_DEFINITION, service, changed)


def variable(service: str, name: str, value: str | Callable[[Graph], str]) -> Break:
    """Give a variable of a container another value, which may be something in the graph."""

    def made(graph: Graph) -> Graph:
        text = value if isinstance(value, str) else value(graph)

        def changed(known: Inputs) -> None:
            for one in known["environment"]:
                if one["name"] == name:
                    one["value"] = text

        return container(service, changed)(graph)

    return made


def forbid(part: str, *actions: str) -> Break:
    """Take actions from a role policy."""

    def changed(known: Inputs) -> None:
        document = json.loads(known["policy"])
        for statement in document["Statement"]:
            statement["Action"] = [action for action in statement["Action"] if action not in actions]
        known["policy"] = json.dumps(document)

    return inputs("aws:iam/rolePolicy:RolePolicy", part, changed)


def unordered(kind: str, part: str | None = None, *, before: Sequence[str] = ("",)) -> Break:
    """Take away what `depends_on` gave: all of it, or what has one of these texts in its URN."""

    def kept(urn: str) -> bool:
        return not any(text in urn for text in before)

    return each(named(kind, part), lambda one: replace(one, depends_on=frozenset(filter(kept, one.depends_on))))


def gone(kind: str, part: str | None = None) -> Break:
    choose = named(kind, part)
    return lambda graph: replace(graph, resources=[one for one in graph.resources if not choose(one)])


def differs(sound: Graph, wrong: Graph) -> bool:
    """Whether anything was changed: a mutation that does not fit any more proves nothing."""
    return [*sound.resources] != [*wrong.resources]
