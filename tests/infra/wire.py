"""Properties as they travel between a program and Pulumi's engine, as plain Python; secrets are known by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

Path = tuple[str | int, ...]
"""Where a value is within properties: keys and indices."""


class _Unknown(Enum):
    UNKNOWN = "unknown until it is deployed"

    def __repr__(self) -> str:
        return self.name


UNKNOWN: Final = _Unknown.UNKNOWN
"""Stands for a value that a preview does not know yet."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is a secret; written into properties as such."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reference:
    """A resource as a value.

    Attributes:
        urn: of the resource.
        id: of the resource; empty for a component.
        version: of its package, which decides on the class that it becomes; empty for any.
    """

    urn: str
    id: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, or with `archive` a folder or archive of files.

    Attributes:
        content: `path`, `uri`, `text` or `assets`, with its value.
        archive: whether it holds several files.
    """

    content: Mapping[str, Any]
    archive: bool = False


def read(properties: struct_pb2.Struct) -> tuple[dict[str, Any], frozenset[Path]]:
    """Properties as plain Python, and the paths of those values that are secret."""
    secrets: set[Path] = set()
    plain = {key: _read(value, (key,), secrets) for key, value in properties.fields.items()}
    return plain, frozenset(secrets)


def _read(value: struct_pb2.Value, path: Path, secrets: set[Path]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _read_struct(value.struct_value, path, secrets)
    if kind == "list_value":
        return [_read(item, (*path, index), secrets) for index, item in enumerate(value.list_value.values)]
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    if kind in ("number_value", "bool_value"):
        return getattr(value, kind)
    return None


def _read_struct(struct: struct_pb2.Struct, path: Path, secrets: set[Path]) -> Any:
    fields = struct.fields
    if rpc._special_sig_key not in fields:
        return {key: _read(item, (*path, key), secrets) for key, item in fields.items()}
    signature = fields[rpc._special_sig_key].string_value
    if signature == rpc._special_secret_sig:
        secrets.add(path)
        return _read(fields["value"], path, secrets)
    rest = {key: _read(item, (*path, key), secrets) for key, item in fields.items() if key != rpc._special_sig_key}
    if signature == rpc._special_resource_sig:
        known = "" if rest.get("id") is UNKNOWN else rest.get("id", "")
        return Reference(rest["urn"], known, rest.get("packageVersion", ""))
    if signature in (rpc._special_asset_sig, rpc._special_archive_sig):
        return Asset(rest, archive=signature == rpc._special_archive_sig)
    raise ValueError(f"unknown kind of property at {show(path)}: teach tests/infra/wire.py the signature {signature}")


def write(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Plain Python as properties; `Secret`, `Reference` and `UNKNOWN` may be anywhere in it."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        struct.fields[key].CopyFrom(_write(value))
    return struct


def _write(value: Any) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case _Unknown():
            return struct_pb2.Value(string_value=rpc.UNKNOWN)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case Secret():
            return _signed(rpc._special_secret_sig, {"value": value.value})
        case Reference():
            fields = {"urn": value.urn, "id": value.id, "packageVersion": value.version}
            return _signed(rpc._special_resource_sig, {key: field for key, field in fields.items() if field})
        case Asset():
            return _signed(rpc._special_archive_sig if value.archive else rpc._special_asset_sig, value.content)
        case Mapping():
            return struct_pb2.Value(struct_value=write(value))
        case Sequence():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_write(item) for item in value]))
    raise TypeError(f"{value!r} is no property: outputs of a mock are strings, numbers, booleans, lists and mappings")


def _signed(signature: str, fields: Mapping[str, Any]) -> struct_pb2.Value:
    return struct_pb2.Value(struct_value=write({rpc._special_sig_key: signature, **fields}))


def show(path: Path) -> str:
    """A path as a program would write it: `setting[0].name`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string within a value, keys of mappings left out, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index))
