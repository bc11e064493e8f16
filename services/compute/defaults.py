"""Refuses defaults that would make a left-out parameter another task than the same value given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from services.compute.coreschema import Schema
from services.compute.identity import canonical

Refuse = Callable[[str, str], Exception]
"""Makes the error for a problem and its cure."""


def check_factory(schema: Schema, where: str, refuse: Refuse) -> None:
    """Refuse a default factory that fails, or gives another value each time.

    Args:
        schema: core schema of a default; a factory that takes the other fields' data is left alone.
        where: the field, for the message.
        refuse: makes the error.

    Raises:
        Exception: what `refuse` made.
    """
    if schema.get("default_factory_takes_data"):
        return
    try:
        same = canonical(schema["default_factory"]()) == canonical(schema["default_factory"]())
    except Exception as error:
        raise refuse(f"the default factory of {where} fails: {error!r}", "correct it") from error
    if not same:
        raise refuse(
            f"the default factory of {where} gives another value each time, so that the same request would be "
            "another task",
            "make the field required, or draw the value inside the function when it is None",
        )


def check_default(schema: Schema, definitions: list[Schema], where: str, refuse: Refuse, *, kept: bool) -> None:
    """Refuse a default that its own type refuses or, where it is kept as it is, would make something else of.

    Args:
        schema: core schema of a default.
        definitions: schemas that it may refer to.
        where: the field, for the message.
        refuse: makes the error.
        kept: whether the default is used without being validated.

    Raises:
        Exception: what `refuse` made.
    """
    whole: Any = core_schema.definitions_schema(schema["schema"], definitions)  # type: ignore[arg-type]
    default = schema["default"]
    try:
        validated = SchemaValidator(whole).validate_python(default)
    except ValidationError as error:
        raise refuse(
            f"the default {default!r} of {where} is refused by its own type: {error.errors()[0]['msg']}",
            "give a valid default, or widen the type (`| None`)",
        ) from error
    if kept and canonical(validated) != canonical(default):
        raise refuse(
            f"the default {default!r} of {where} is not what validation makes of it, {validated!r}, so that leaving "
            "it out and giving it would be two tasks",
            f"write the default as {validated!r}, or set validate_default=True in the model's config",
        )
