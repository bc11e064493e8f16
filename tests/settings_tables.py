"""Tables of all settings, from the settings classes themselves: `make docs` writes them, a test compares them.

`docs/configuration.md` holds, for each class, a line `<!-- settings: module.Class -->` followed by its table, which
ends at the first line that is not part of it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

import services
from infra.settings import NAMESPACE, StackSettings
from services.compute.settings import EnvironmentSettings

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"
MARKER = re.compile(r"^<!-- settings: ([\w.]+) -->\n\n?((?:\|.*\n)*)", re.MULTILINE)
HEAD = "| {} | default | what it is |\n|---|---|---|\n"


def settings_classes() -> dict[str, type[BaseModel]]:
    """Every settings class that has fields of its own, of services and of stacks, by its full name."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    own = [cls for cls in _subclasses(EnvironmentSettings) if cls.__module__.startswith("services.")]
    stacks = [cls for cls in StackSettings.__mro__ if cls.__module__ == StackSettings.__module__]
    return {f"{cls.__module__}.{cls.__qualname__}": cls for cls in (*own, *stacks) if own_fields(cls)}


def own_fields(cls: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields that a class declares itself, by environment variable or key of a stack's configuration."""
    return {
        _variable(cls, name): cls.model_fields[name]
        for name in inspect.get_annotations(cls)
        if name in cls.model_fields
    }


def table(cls: type[BaseModel]) -> str:
    """The table of one class, in Markdown."""
    rows = (f"| `{name}` | {_default(field)} | {_about(field)} |\n" for name, field in own_fields(cls).items())
    return HEAD.format("key" if issubclass(StackSettings, cls) else "variable") + "".join(rows)


def documented(text: str) -> dict[str, str]:
    """The tables of a document by class."""
    return dict(MARKER.findall(text))


def rewrite(text: str) -> str:
    """The document with each table made anew; classes that it lacks come at its end, with their docstrings."""
    classes = settings_classes()

    def fresh(match: re.Match[str]) -> str:
        cls = classes.get(match[1])
        return f"<!-- settings: {match[1]} -->\n\n{table(cls)}" if cls else ""

    text = re.sub(r"\|\n(?=[^|\n])", "|\n\n", MARKER.sub(fresh, text))
    for name in classes.keys() - documented(text).keys():
        text += f"\n## {name}\n\n{inspect.getdoc(classes[name])}\n\n<!-- settings: {name} -->\n\n{table(classes[name])}"
    return text


def _subclasses(cls: type[EnvironmentSettings]) -> Iterator[type[EnvironmentSettings]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _variable(cls: type[BaseModel], name: str) -> str:
    if issubclass(StackSettings, cls):
        return f"{NAMESPACE}:{to_camel(name)}"
    alias = cls.model_fields[name].validation_alias
    return alias.upper() if isinstance(alias, str) else name.upper()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, SecretStr):
        return "secret"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"


def _about(field: FieldInfo) -> str:
    bounds = []
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            bounds.append(f"≥ {limit.ge}")
        elif isinstance(limit, annotated_types.Gt):
            bounds.append(f"> {limit.gt}")
        elif isinstance(limit, annotated_types.Le):
            bounds.append(f"≤ {limit.le}")
    text = (field.description or "").replace("|", "\\|")
    return f"{text} ({', '.join(bounds)})" if bounds else text


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.settings_tables --write   (writes the tables of docs/configuration.md anew)")
    DOCUMENT.write_text(rewrite(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
