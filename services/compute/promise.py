"""Holds a result to its declared type, which the serializer alone does not: it lets None and any Literal pass.

The check works on a result as it is: validators of the author's are left out (they need not take their own output),
aliases do not count, and models and dataclasses are looked into, since nobody has validated what is assigned to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import EncodedBytes, EncodedStr
from pydantic_core import CoreSchema, PydanticKnownError, SchemaError, SchemaValidator

from services.compute.coreschema import SECRETS, Schema, from_pydantic, function_of

Refuse = Callable[[str, str], Exception]
"""Makes an error of a problem and its cure."""

_LEFT_OUT: Final = frozenset({"metadata", "serialization", "config", "strict", "validation_alias"})
_FUNCTIONS: Final = frozenset({"function-before", "function-after", "function-wrap"})
_LISTS: Final = frozenset({"list", "set", "frozenset"})


def result_check(schema: CoreSchema) -> Callable[[Any], object]:
    """Return what raises `pydantic.ValidationError` for a value that is not of a declared type.

    Args:
        schema: the core schema of the type.
    """
    kept: Any = _kept(schema)
    try:
        return SchemaValidator(kept).validate_python
    except SchemaError:  # a core schema of the author's own, of a form that cannot be taken apart
        return lambda value: value


def check_complete(schema: object, refuse: Refuse, field: str = "") -> None:
    """Refuse a result type that would be written without a part of its value.

    Args:
        schema: the core schema of the type.
        refuse: makes the error.
        field: name of the field that the schema is of.

    Raises:
        Exception: what `refuse` made.
    """
    if isinstance(schema, dict):
        at = f"field {field!r} of its result" if field else "its result"
        serialization = schema.get("serialization")
        if serialization and getattr(serialization.get("function"), "__qualname__", "") in SECRETS:
            raise refuse(f"{at} is a secret, which is written as asterisks", "return a plain type, or leave it out")
        if schema.get("serialization_exclude"):
            raise refuse(f"{at} is excluded from the JSON that clients get", "remove exclude=..., or the field")
    each: list[tuple[str, object]] = []
    if isinstance(schema, dict):
        named = schema.get("type") in ("model-fields", "typed-dict")
        for key, value in schema.items():
            if key == "fields" and named:
                each += value.items()
            elif key not in ("metadata", "default"):
                each.append((field, value))
    elif isinstance(schema, (list, tuple)):
        each = [(value.get("name", field) if isinstance(value, dict) else field, value) for value in schema]
    for name, value in each:
        check_complete(value, refuse, name)


def _kept(schema: Any) -> Any:
    """The schema without what must not be asked of a finished value; classes and functions are kept."""
    if isinstance(schema, (list, tuple)):
        return type(schema)(_kept(value) for value in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    special = _SPECIAL.get(kind) if isinstance(kind, str) else None
    if special is not None:
        return _named(schema, special(schema))
    if kind in _FUNCTIONS and not _repeatable(schema):
        return _named(schema, _kept(schema["schema"]))
    made = {key: value if key == "default" else _kept(value) for key, value in schema.items() if key not in _LEFT_OUT}
    return made | {"fail_fast": True} if kind in _LISTS else made


def _named(before: Schema, after: Schema) -> Schema:
    """Keep the name by which other schemas refer to one that was replaced."""
    if "ref" not in before or before["ref"] == after.get("ref"):
        return after
    if "ref" in after:
        after = {"type": "chain", "steps": [after]}
    return after | {"ref": before["ref"]}


def _repeatable(schema: Schema) -> bool:
    """Whether a validator is known to take its own output: Pydantic's, except those that decode."""
    function = function_of(schema)
    return from_pydantic(function) and not isinstance(getattr(function, "__self__", None), (EncodedBytes, EncodedStr))


def _inner(schema: Schema) -> Schema:
    return _kept(schema["schema"])  # type: ignore[no-any-return]


def _plain(schema: Schema) -> Schema:
    return {"type": "function-plain", "function": schema["function"]} if _repeatable(schema) else {"type": "any"}


def _tagged_union(schema: Schema) -> Schema:
    # Instances may not have their tag under the name that it has in JSON.
    return {"type": "union", "choices": [_kept(each) for each in schema["choices"].values() if isinstance(each, dict)]}


def _instance(schema: Schema) -> Schema:
    """A model or dataclass: an instance of its class, each of its fields held to its type."""
    cls, root = schema["cls"], bool(schema.get("root_model"))
    if root:
        inner, names = _inner(schema), ["root"]
    else:
        fields = _fields(schema["schema"])
        made = {
            name: {"type": "typed-dict-field", "schema": _kept(each), "required": False}
            for name, each in fields.items()
        }
        inner, names = {"type": "typed-dict", "fields": made}, list(fields)

    def look(value: object) -> object:
        if not isinstance(value, cls):
            raise PydanticKnownError("is_instance_of", {"class": cls.__name__})
        found = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return found.get("root") if root else found

    return {"type": "function-before", "function": {"type": "no-info", "function": look}, "schema": inner}


def _fields(schema: Schema) -> dict[str, Schema]:
    """Schemas of a model's or dataclass's fields, below whatever validators are around them."""
    while schema["type"] not in ("model-fields", "dataclass-args"):
        schema = schema["schema"]
    fields = schema["fields"]
    if isinstance(fields, dict):
        return {name: each["schema"] for name, each in fields.items()}
    return {each["name"]: each["schema"] for each in fields}


_SPECIAL: Final[dict[str, Callable[[Schema], Schema]]] = {
    "model": _instance,
    "dataclass": _instance,
    "default": _inner,
    "json": lambda schema: _kept(schema.get("schema", {"type": "any"})),
    "json-or-python": lambda schema: _kept(schema["python_schema"]),
    "function-plain": _plain,
    "tagged-union": _tagged_union,
    "call": lambda _: {"type": "any"},
}
