"""Result types for what NumPy and pandas make, without importing either.

To a type checker they are Any; in the JSON Schema they are what is written: nested lists for an array, pandas'
`split` form for frames and series. Computations may return Dask's counterparts as well.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, WithJsonSchema

_LABELS = {"type": "array", "items": {}}
_FRAME = {
    "type": "object",
    "title": "Frame",
    "description": "A table in pandas' `split` form: pandas.DataFrame(**value)",
    "properties": {
        "columns": {**_LABELS, "description": "Labels of the columns"},
        "index": {**_LABELS, "description": "Labels of the rows"},
        "data": {"type": "array", "items": {"type": "array", "items": {}}, "description": "Row by row"},
    },
    "required": ["columns", "index", "data"],
    "additionalProperties": False,
}
_SERIES = {
    "type": "object",
    "title": "Series",
    "description": "A series in pandas' `split` form: pandas.Series(**value)",
    "properties": {
        "name": {"description": "Name of the series, or null"},
        "index": {**_LABELS, "description": "Labels of the values"},
        "data": {"type": "array", "items": {}, "description": "The values"},
    },
    "required": ["name", "index", "data"],
    "additionalProperties": False,
}


def _form(what: str, keys: frozenset[str]) -> PlainSerializer:
    def check(value: Any) -> Any:
        if not isinstance(value, dict) or value.keys() != keys:
            raise ValueError(f"{_kind(value)} is no {what}: return a pandas or Dask {what}, or its split form")
        return value

    return PlainSerializer(check)


def _check_array(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError(f"{_kind(value)} is no array: return a NumPy or Dask array, or nested lists")  # noqa: TRY004
    return value


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


Array = Annotated[
    Any,
    PlainSerializer(_check_array),
    WithJsonSchema({"type": "array", "items": {}, "description": "An array as nested lists: numpy.array(value)"}),
]
"""A NumPy or Dask array of one or more dimensions; written as nested lists."""

Frame = Annotated[Any, _form("DataFrame", frozenset({"columns", "index", "data"})), WithJsonSchema(_FRAME)]
"""A pandas or Dask DataFrame; written in `split` form."""

Series = Annotated[Any, _form("Series", frozenset({"name", "index", "data"})), WithJsonSchema(_SERIES)]
"""A pandas or Dask Series; written in `split` form."""
