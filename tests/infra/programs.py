"""Small programs for the tests of the checks themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.infra.graph import Graph, Options, Recorded
from tests.infra.recording import record
from tests.infra.wire import Path


def of(build: Callable[[], object], **options: Any) -> Graph:
    """Record a program whose value is of no interest."""

    def program() -> None:
        build()

    return record(program, **options)


def bare(kind: str, inputs: Mapping[str, Any], *, name: str = "it", secrets: frozenset[Path] = frozenset()) -> Recorded:
    """A recorded resource without a program: inputs as they are given."""
    return Recorded(
        type=kind,
        name=name,
        urn=f"urn:pulumi:dev::tidegate::{kind}::{name}",
        inputs=inputs,
        secrets=secrets,
        outputs={},
        id=name,
        parent="",
        depends_on=frozenset(),
        property_dependencies={},
        provider="",
        providers={},
        custom=True,
        remote=False,
        options=Options(),
    )


def graph_of(*resources: Recorded) -> Graph:
    """A graph of resources that no program has made."""
    return Graph(resources, [], {}, frozenset(), [])
