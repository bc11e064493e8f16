"""Recorded inputs against the input types in the installed wheels, which are generated from the providers' schemas.

Without an engine nobody looks at inputs: an unknown key, a list in the place of a value or a missing property would be
noticed by `pulumi preview` at the earliest, and here it is.
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

import pulumi
from pulumi import _types as pulumi_types
from pulumi.runtime import rpc

from tests.infra.graph import Recorded
from tests.infra.wire import UNKNOWN, Asset, Path, Reference, show

PACKAGES: Mapping[str, str] = {
    "aws": "pulumi_aws",
    "awsx": "pulumi_awsx",
    "docker-build": "pulumi_docker_build",
    "random": "pulumi_random",
    "tls": "pulumi_tls",
}
"""Packages whose resources are checked, with the modules of their wheels."""

_PROVIDERS = "pulumi:providers:"
_SEQUENCES = (collections.abc.Sequence, list)
_MAPPINGS = (collections.abc.Mapping, dict)


def problems(recorded: Recorded) -> list[str]:
    """What is wrong with the inputs of a resource; components and packages without a wheel here pass."""
    package = recorded.type.removeprefix(_PROVIDERS).partition(":")[0]
    if package not in PACKAGES:
        return []
    kind = arguments_of(recorded.type)
    if kind is None:
        return [f"{recorded.where}: {PACKAGES[package]} knows no such type: is the token misspelt?"]
    inputs = recorded.inputs
    if recorded.type.startswith(_PROVIDERS):  # a provider's own inputs travel as JSON in strings
        inputs = {key: _decoded(value) for key, value in inputs.items()}
    return [f"{recorded.where}: {problem}" for problem in _object(inputs, kind, ())]


@cache
def arguments_of(token: str) -> type | None:
    """Class of a resource's arguments, such as `ServiceArgs` for `aws:ecs/service:Service`; None for no resource."""
    resource = _resource_class(token)
    if resource is None:
        return None
    # The overload that takes the arguments as one object names their class, whatever the generator has called it.
    for overload in typing.get_overloads(vars(resource)["__init__"]):
        if list(inspect.signature(overload).parameters)[1:] == ["resource_name", "args", "opts"]:
            hints = typing.get_type_hints(overload, vars(importlib.import_module(resource.__module__)))
            found: type = next(hint for hint in _alternatives(hints["args"]) if inspect.isclass(hint))
            return found
    raise LookupError(f"{resource.__module__}.{resource.__qualname__} takes no object of arguments: {token}")


def _resource_class(token: str) -> type | None:
    if token.startswith(_PROVIDERS):
        return getattr(importlib.import_module(PACKAGES[token.removeprefix(_PROVIDERS)]), "Provider", None)
    package, module, _ = token.split(":")
    importlib.import_module(PACKAGES[package])
    registered = rpc.get_resource_module(package, module, "")
    info = getattr(registered, "mod_info", None)
    if info is None or token not in info["classes"]:
        return None
    found: type = getattr(importlib.import_module(info["fqn"]), info["classes"][token])
    return found


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _object(value: Mapping[str, Any], kind: type, path: Path) -> Iterator[str]:
    known, required = _properties(kind)
    for key, item in value.items():
        if key not in known:
            yield f"{show((*path, key))} is no property of {kind.__name__}; it has {', '.join(sorted(known))}"
        elif item is not None:
            yield from _value(item, known[key], (*path, key))
    for key in sorted(required):
        if value.get(key) is None:
            yield f"{show((*path, key))} is missing, {kind.__name__} needs it"


@cache
def _properties(kind: type) -> tuple[Mapping[str, tuple[Any, ...]], frozenset[str]]:
    """Alternatives of each property's type, and the names of those that must be given."""
    names = pulumi_types.input_type_py_to_pulumi_names(kind)
    hints = pulumi_types._raw_return_hints(kind)
    parameters = inspect.signature(kind).parameters
    required = {names[name] for name, given in parameters.items() if given.default is inspect.Parameter.empty}
    return {name: _alternatives(hint) for name, hint in hints.items()}, frozenset(required)


@cache
def _alternatives(hint: Any) -> tuple[Any, ...]:
    """What a value may be, without what cannot arrive: outputs, awaitables, and dictionaries that stand for classes."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return tuple(dict.fromkeys(found for item in typing.get_args(hint) for found in _alternatives(item)))
    if (
        origin is pulumi.Output
        or origin is collections.abc.Awaitable
        or hint is type(None)
        or typing.is_typeddict(hint)
    ):
        return ()
    if isinstance(hint, type) and issubclass(hint, pulumi.Output):
        return ()
    return (hint,)


def _value(value: Any, alternatives: Sequence[Any], path: Path) -> Iterator[str]:
    if value is UNKNOWN:
        return
    found = [list(_one(value, hint, path)) for hint in alternatives]
    if any(not wrong for wrong in found):
        return
    # One alternative that has the shape says best what is wrong within.
    deeper = [wrong for hint, wrong in zip(alternatives, found, strict=True) if _shape(value, hint)]
    if len(deeper) == 1:
        yield from deeper[0]
    else:
        wanted = " or ".join(_name(hint) for hint in alternatives)
        yield f"{show(path)} is {_describe(value)}, not {wanted}"


def _shape(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if isinstance(value, list):
        return origin in _SEQUENCES
    return isinstance(value, Mapping) and (origin in _MAPPINGS or _is_input(hint))


def _one(value: Any, hint: Any, path: Path) -> Iterator[str]:
    """What is wrong with a value if it is meant to be of this one type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return
    if origin in _SEQUENCES and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(item, _alternatives(arguments[0]), (*path, index))
    elif origin in _MAPPINGS and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _value(item, _alternatives(arguments[1]), (*path, key))
    elif _is_input(hint) and isinstance(value, Mapping):
        yield from _object(value, hint, path)
    elif not _is_plain(value, hint):
        yield f"{show(path)} is {_describe(value)}, not {_name(hint)}"


def _is_input(hint: Any) -> bool:
    return inspect.isclass(hint) and pulumi_types.is_input_type(hint)


def _is_plain(value: Any, hint: Any) -> bool:
    if not inspect.isclass(hint):
        return False
    if issubclass(hint, Enum):
        return any(value == member.value for member in hint)
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:  # numbers travel as floats
        return isinstance(value, int | float) and float(value).is_integer()
    if hint is float:
        return isinstance(value, int | float)
    if issubclass(hint, pulumi.Resource):
        return isinstance(value, Reference)
    if issubclass(hint, pulumi.Asset | pulumi.Archive):
        return isinstance(value, Asset) and value.archive == issubclass(hint, pulumi.Archive)
    return hint is str and isinstance(value, str)


def _name(hint: Any) -> str:
    if typing.get_origin(hint) in _SEQUENCES:
        return "a list"
    if typing.get_origin(hint) in _MAPPINGS:
        return "a mapping"
    if inspect.isclass(hint) and issubclass(hint, Enum):
        return f"one of {', '.join(repr(member.value) for member in hint)}"
    return getattr(hint, "__name__", str(hint))


def _describe(value: Any) -> str:
    names = {list: "a list", dict: "a mapping", Reference: "a resource (not its id or ARN)", Asset: "an asset"}
    return names.get(type(value)) or repr(value)
