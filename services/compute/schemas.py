"""JSON Schemas of parameters and results, as they really are on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreConfig, SchemaValidator, ValidationError, core_schema, to_json

NON_FINITE = ("NaN", "Infinity", "-Infinity")


class _Wire(GenerateJsonSchema):
    """Says what really is on the wire where Pydantic's own schema says something else."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """A number, or one of the three strings where they pass."""
        number = super().float_schema(schema)
        strings = self._strings(schema)
        return {"anyOf": [number, {"type": "string", "enum": strings}]} if strings else number

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number or a string that holds one; the three strings are among these where they pass."""
        return super().decimal_schema({**schema, "allow_inf_nan": False})

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        """A list, which as a parameter may say a thing twice."""
        return self._set(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """The same."""
        return self._set(super().frozenset_schema(schema))

    def _set(self, schema: JsonSchemaValue) -> JsonSchemaValue:
        if self.mode == "validation":
            schema.pop("uniqueItems", None)
        return schema

    def _strings(self, schema: core_schema.FloatSchema) -> list[str]:
        if schema.get("allow_inf_nan", self._config.allow_inf_nan) is False:
            return []
        if self.mode == "serialization":  # a result is not held against its bounds
            return list(NON_FINITE)
        bare: Any = {key: value for key, value in schema.items() if key not in ("ref", "metadata", "serialization")}
        number = SchemaValidator(bare, CoreConfig(strict=bool(self._config.strict)))
        return [text for text in NON_FINITE if _passes(number, text)]


def parameters_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a parameter model; unknown fields are refused at every level."""
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Wire)
    schema.pop("description", None)  # the function's docstring describes the computation
    for each in (schema, *schema.get("$defs", {}).values()):
        _close(each)
    return schema


def result_schema(result: TypeAdapter[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a result as it is written."""
    return result.json_schema(by_alias=True, mode="serialization", schema_generator=_Wire)


def _close(schema: dict[str, Any]) -> None:
    """Say that an object with fields takes no others; a dict, which has no fields, stays open."""
    if schema.get("type") == "object" and ("properties" in schema or schema.get("additionalProperties") is True):
        schema["additionalProperties"] = False


def _passes(number: SchemaValidator, text: str) -> bool:
    try:
        number.validate_json(to_json(text))
    except ValidationError:
        return False
    return True
