"""Makes a parameter model take of JSON what its schema says, and nothing that Pydantic would convert.

Pydantic's own strict mode is no help: it refuses the strings that stand for NaN and infinities, 3.0 for an integer
(which JSON Schema calls one), and, below an author's `mode="before"` validator, dates. So each number, truth value and
time gets a guard before it. A field or model that says itself whether it is strict is left as it is: with
`Field(strict=False)` it keeps Pydantic's conversions. So are the keys of dicts, which JSON always has as strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticKnownError, SchemaValidator, core_schema, to_json

from services.compute.coreschema import Schema, find_definitions
from services.compute.schemas import NON_FINITE

Read = Callable[..., BaseModel]
Guard = Callable[[object], object]

_NO_SCHEMAS: Final = frozenset({"metadata", "default", "serialization", "config", "expected", "members"})
_NUMERIC: Final = re.compile(r"\s*[-+]?[0-9.]+\s*")


def guarded_reader(model: type[BaseModel]) -> Read:
    """Return what makes an instance of a parameter model from JSON, with all of its guards.

    Args:
        model: the parameter model, complete.
    """
    schema: Any = dict(model.__pydantic_core_schema__)
    guarded = _Walk({each["ref"]: each for each in find_definitions(schema)}).copy(schema, strict=False)
    # Validators that models have already are without guards: make all of them anew.
    reader: Read = SchemaValidator(guarded, _use_prebuilt=False).validate_json
    return reader


class _Walk:
    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def copy(self, value: Any, *, strict: bool) -> Any:
        """A copy of a schema, or of what holds schemas, with a guard before each node that needs one."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.copy(each, strict=strict) for each in value)
        if not isinstance(value, dict):
            return value
        kind = value.get("type")
        if not isinstance(kind, str):  # fields by name, choices by tag
            return {key: self.copy(each, strict=strict) for key, each in value.items()}
        inside = value.get("config", {}).get("strict", strict and kind != "model")
        inner = {key: self._member(key, each, strict=inside) for key, each in value.items()}
        if kind == "union":
            inner["choices"] = [self._choice(*each) for each in zip(value["choices"], inner["choices"], strict=True)]
        guard = None if "strict" in value or strict else _guard_of(value)
        if guard is None:
            return inner
        outer = {"type": "function-before", "function": {"type": "no-info", "function": guard}, "schema": inner}
        if "ref" in inner:
            outer["ref"] = inner.pop("ref")
        return outer

    def _member(self, key: str, value: Any, *, strict: bool) -> Any:
        if key in _NO_SCHEMAS:
            return value
        return self._unguarded(value) if key == "keys_schema" else self.copy(value, strict=strict)

    def _unguarded(self, value: Any) -> Any:
        """A copy in which references to definitions, which may have guards, are replaced by what they name."""
        if isinstance(value, (list, tuple)):
            return type(value)(self._unguarded(each) for each in value)
        if not isinstance(value, dict):
            return value
        if value.get("type") == "definition-ref":
            value = {key: each for key, each in self._definitions[value["schema_ref"]].items() if key != "ref"}
        return {key: each if key in _NO_SCHEMAS else self._unguarded(each) for key, each in value.items()}

    def _choice(self, before: Any, after: Any) -> Any:
        """A choice of a union under the name that Pydantic gives it in the place of an error."""
        if isinstance(before, tuple) or before == after:
            return after
        whole: Any = core_schema.definitions_schema(before, list(self._definitions.values()))
        return after, SchemaValidator(whole).title


def _guard_of(schema: Schema) -> Guard | None:
    kind = schema["type"]
    if kind == "literal":
        return _one_of(schema, "literal_error", schema["expected"])
    if kind == "enum":
        return None if schema.get("missing") else _one_of(schema, "enum", schema["members"])
    return _GUARDS.get(kind)


def _integer(value: object) -> object:
    if isinstance(value, (str, bool)):
        raise PydanticKnownError("int_type")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and value not in NON_FINITE):
        raise PydanticKnownError("float_type")
    return value


def _truth(value: object) -> object:
    if not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


def _text(kind: Any, error: Any, parsing: Any = None) -> Guard:
    """Refuses numbers; with `parsing`, the kind of error, also text that Pydantic would read as one.

    Text of just this type is made into it here: behind a guard Pydantic sees only text, and would not know which type
    of a union it fits best.
    """
    exact = SchemaValidator({"type": kind, "strict": True}).validate_json

    def guard(value: object) -> object:
        if isinstance(value, (int, float)):  # and bool, which is an int
            raise PydanticKnownError(error)
        if not isinstance(value, str):
            return value
        if parsing and _NUMERIC.fullmatch(value):
            raise PydanticKnownError(parsing, {"error": "a number is not one"})
        try:
            return exact(to_json(value))
        except ValidationError:
            return value  # what is wrong with it, the schema itself says

    return guard


def _one_of(schema: Schema, error: Any, members: Sequence[object]) -> Guard | None:
    """Refuses truth values for 0 and 1, these for truth values, and text for numbers."""
    values = [member.value if isinstance(member, Enum) else member for member in members]
    if all(isinstance(value, str) for value in values):
        return None
    truths = [value for value in values if isinstance(value, bool)]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    texts = any(isinstance(value, str) for value in values)
    context = _expected(schema)

    def guard(value: object) -> object:
        if isinstance(value, str):
            possible = texts
        elif isinstance(value, (int, float)):
            possible = value in (truths if isinstance(value, bool) else numbers)
        else:
            possible = True
        if not possible:
            raise PydanticKnownError(error, context)
        return value

    return guard


def _expected(schema: Any) -> dict[str, Any]:
    """What Pydantic says is expected."""
    bare = {key: value for key, value in schema.items() if key != "ref"}
    try:
        SchemaValidator(bare).validate_python(object())
    except ValidationError as error:
        return dict(error.errors()[0]["ctx"])
    raise AssertionError("an object() is neither a literal nor a member")


_GUARDS: Final[Mapping[str, Guard]] = {
    "int": _integer,
    "float": _number,
    "bool": _truth,
    "complex": _text("complex", "complex_type"),
    "datetime": _text("datetime", "datetime_type", "datetime_parsing"),
    "date": _text("date", "date_type", "date_parsing"),
    "time": _text("time", "time_type"),
    "timedelta": _text("timedelta", "time_delta_type"),
}
