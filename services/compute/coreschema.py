"""Reading Pydantic's core schemas: nested dicts, each with a `type`, that say how values are validated and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_PYDANTIC_PLAIN = ("ip_v", "validate_str_is_valid_iana_tz")

SECRETS = frozenset({"_serialize_secret", "_serialize_secret_field"})
"""Names of Pydantic's serializers that write asterisks."""


def find_definitions(schema: object) -> Iterator[Schema]:
    """Yield all schemas that others refer to by `schema_ref`."""
    if isinstance(schema, dict):
        if schema.get("type") == "definitions":
            yield from schema["definitions"]
        for key, value in schema.items():
            if key not in ("metadata", "default"):
                yield from find_definitions(value)
    elif isinstance(schema, (list, tuple)):
        for value in schema:
            yield from find_definitions(value)


def alias_paths(alias: object) -> list[list[str | int]]:
    """Return an AliasPath or AliasChoices as a list of paths."""
    if not isinstance(alias, list) or not alias:
        return []
    return alias if isinstance(alias[0], list) else [alias]


def function_of(schema: Schema) -> object:
    """Return the function of a validator's schema, or of a serializer's; None where there is none."""
    function = schema.get("function")
    function = function.get("function") if isinstance(function, dict) else function
    return getattr(function, "func", function)  # of a functools.partial


def module_of(function: object) -> str:
    """Return the module that a function comes from."""
    return str(getattr(function, "__module__", None) or "")


def from_pydantic(function: object) -> bool:
    """Whether a function is Pydantic's own."""
    return module_of(function).partition(".")[0] == "pydantic"


def pydantic_plain(schema: Schema) -> bool:
    """Whether this is one of Pydantic's own validators of addresses and time zones, which are as good as a type."""
    function = function_of(schema)
    known = getattr(function, "__name__", "").startswith(_PYDANTIC_PLAIN)
    return schema["type"] == "function-plain" and known and from_pydantic(function)
