"""A resource as the rules see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

TIER_TAG: Final = "tidegate:tier"


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource as a rule sees it.

    Attributes:
        urn: by which others depend on it.
        type: token.
        name: logical name.
        inputs: by their names in the schema, without those that are not known yet.
        protect: whether Pulumi refuses to delete it.
        depends: URNs of the resources that each input depends on.
    """

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool = False
    depends: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, Any]:
        """Tags by name; an image's `tags` are something else."""
        tags = self.inputs.get("tags")
        return tags if isinstance(tags, Mapping) else {}

    @property
    def production(self) -> bool:
        """Whether its stack is one that others depend on."""
        return self.tags.get(TIER_TAG) == "production"


def listed(value: Any) -> list[Any]:
    """Something that may be one or several."""
    return [value] if isinstance(value, (str, Mapping)) else list(value or ())


def statements(document: Any) -> list[Mapping[str, Any]]:
    """Statements of a policy document, as text or as it is."""
    found = json.loads(document) if isinstance(document, str) and document else document or {}
    return listed(found.get("Statement"))


def strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """All texts among properties, with where they are."""
    if isinstance(value, str):
        yield path or ("",), value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(inner, (*path, str(key)))
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from strings(inner, (*path, str(number)))


def containers(seen: Seen) -> Sequence[Mapping[str, Any]]:
    """Containers of a task definition."""
    definitions = seen.inputs.get("containerDefinitions")
    if seen.type != "aws:ecs/taskDefinition:TaskDefinition" or not isinstance(definitions, str):
        return []
    found: list[Mapping[str, Any]] = json.loads(definitions)
    return found
