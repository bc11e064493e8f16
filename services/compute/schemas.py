"""JSON Schemas of parameters and results, as they really are on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

NON_FINITE = ("NaN", "Infinity", "-Infinity")


class _Results(GenerateJsonSchema):
    """Says of numbers that they may be one of the three strings."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        number = super().float_schema(schema)
        if schema.get("allow_inf_nan", self._config.allow_inf_nan) is False:
            return number
        return {"anyOf": [number, {"type": "string", "enum": list(NON_FINITE)}]}


def parameters_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a parameter model; unknown fields are refused at every level."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    schema.pop("description", None)  # the function's docstring describes the computation
    for each in (schema, *schema.get("$defs", {}).values()):
        _close(each)
    return schema


def result_schema(result: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a result as it is written."""
    return result.json_schema(by_alias=True, mode="serialization", schema_generator=_Results)


def _close(schema: dict[str, Any]) -> None:
    """Say that an object with fields takes no others; a dict, which has no fields, stays open."""
    if schema.get("type") == "object" and ("properties" in schema or schema.get("additionalProperties") is True):
        schema["additionalProperties"] = False
