"""Writes values of a declared type as JSON that keeps NaN and infinities, which JSON itself has not.

Models of authors write NaN as null unless told otherwise. In between, as plain Python values, it is still NaN:
so where a number can be NaN there are two steps, and in the second it becomes the string "NaN".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic_core import CoreConfig, CoreSchema, SchemaSerializer, core_schema, to_json

Writer = Callable[[Any], bytes]

_CONFIG = CoreConfig(ser_json_inf_nan="strings", ser_json_bytes="base64")
"""For what is written by its run-time type (Any); declared types go by their model's config."""


def parameter_writer(model: type[BaseModel], *, floats: bool) -> Writer:
    """Return what writes instances of a parameter model so that validating them again gives equal ones.

    Args:
        model: the parameter model.
        floats: whether a number in it may be NaN or infinite, and would be written as null.
    """
    serializer = model.__pydantic_serializer__
    if not floats:
        direct = serializer.to_json
        return lambda value: direct(value, by_alias=True, round_trip=True)
    return _two_steps(serializer.to_python, round_trip=True, warnings="none")


def result_writer(schema: CoreSchema) -> Writer:
    """Return what writes values of a result type, strictly: a value of another type is an error.

    Args:
        schema: the core schema of the declared type.
    """
    return _two_steps(SchemaSerializer(schema, _CONFIG).to_python, round_trip=False, warnings="error")


def json_writer(bytes_mode: Literal["utf8", "base64", "hex"]) -> Writer:
    """Return what writes any value by its run-time type, NaN and infinities as bare words, to be validated again.

    Args:
        bytes_mode: how bytes are written.
    """
    config = CoreConfig(ser_json_inf_nan="constants", ser_json_bytes=bytes_mode)
    to_python = SchemaSerializer(core_schema.any_schema(), config).to_python
    return lambda value: to_json(to_python(value, mode="json", by_alias=True), inf_nan_mode="constants")


def _two_steps(to_python: Callable[..., Any], *, round_trip: bool, warnings: Literal["none", "error"]) -> Writer:
    def write(value: Any) -> bytes:
        plain = to_python(value, mode="json", by_alias=True, round_trip=round_trip, warnings=warnings)
        return to_json(plain, inf_nan_mode="strings")

    return write
