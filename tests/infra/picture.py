"""The picture of a stack in docs/architecture.md, drawn from what the program registers: `make docs` writes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.infra.program import PRODUCTION, run
from tests.infra.recording import Graph, Recorded

DOCUMENT = Path(__file__).parents[2] / "docs" / "architecture.md"
BEGIN, END = "<!-- stack: begin -->\n", "<!-- stack: end -->\n"
PREFIX = "tidegate-dev-"
STACK = "pulumi:pulumi:Stack"


def draw(graph: Graph) -> str:
    """Components of a stack with what they make, and which needs which, as a Mermaid flowchart."""
    components = [each for each in graph.resources if f"::{STACK}::" in each.parent]
    owner = {each.urn: _top(graph, each, components) for each in graph.resources}
    needs = {each.name: set[str]() for each in components}
    for each in graph.resources:
        for urn in each.dependencies & owner.keys():
            if owner[urn] != owner[each.urn]:
                needs[owner[each.urn]].add(owner[urn])
    lines = ["```mermaid", "flowchart LR"]
    for component in components:
        made = Counter(_kind(each) for each in graph.resources if each.custom and owner[each.urn] == component.name)
        made.update(_kind(each) for each in graph.resources if each.remote and owner[each.urn] == component.name)
        label = "<br/>".join(f"{kind} × {count}" if count > 1 else kind for kind, count in sorted(made.items()))
        lines.append(f'    {_short(component.name)}["<b>{_short(component.name)}</b><br/>{label}"]')
    for name, others in needs.items():
        lines += [f"    {_short(other)} --> {_short(name)}" for other in sorted(_direct(others, needs))]
    return "\n".join([*lines, "```"]) + "\n"


def _top(graph: Graph, resource: Recorded, components: list[Recorded]) -> str:
    names = {each.urn: each.name for each in components}
    while resource.urn not in names:
        resource = graph.by_urn[resource.parent]
    return names[resource.urn]


def _direct(others: set[str], needs: dict[str, set[str]]) -> set[str]:
    """Without those that another one needs anyway."""

    def all_of(name: str) -> set[str]:
        return needs[name].union(*(all_of(other) for other in needs[name]))

    return {each for each in others if not any(each in all_of(other) for other in others)}


def _short(name: str) -> str:
    return name.removeprefix(PREFIX)


def _kind(resource: Recorded) -> str:
    package, _, name = resource.type.partition(":")
    module = name.partition("/")[0] if package == "aws" else package
    return f"{module} {resource.type.rpartition(':')[2]}"


def rewrite(text: str) -> str:
    """The document with the picture drawn anew."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{draw(run({**PRODUCTION, 'sharedFiles': 'true'}))}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    DOCUMENT.write_text(rewrite(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
