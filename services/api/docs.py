"""The OpenAPI pieces that FastAPI cannot guess: problem documents, raw bodies, results by schema.

Components are collected here while the routes are made, and merged into the document by `install`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.api.schemas import Problem

_REF = "#/components/schemas/"
_WHY = {
    304: "Not modified: the client has these bytes",
    404: "Unknown task or computation",
    405: "Method not possible here",
    408: "The body did not arrive in time",
    409: "The task FAILED",
    410: "The task was CANCELLED",
    413: "Body larger than `BODY_MAX_BYTES`",
    415: "Body declared as something else than JSON",
    422: "Refused: `errors` says where and why",
    429: "The queue is full: come back after `Retry-After`",
    500: "Unexpected error",
    503: "Redis does not answer, or too much is under way: come back after `Retry-After`",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}

PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N` holds the answer for up to N seconds (at most 30), until the task is final",
    "schema": {"type": "string"},
    "example": "wait=10",
}
NO_CACHE = {
    "name": "Cache-Control",
    "in": "header",
    "required": False,
    "description": "`no-cache` runs a task that is final anew; one that is not is joined",
    "schema": {"type": "string"},
    "example": "no-cache",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documented error answers, each a problem document."""
    documented: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        answer: dict[str, Any] = {
            "description": _WHY[status],
            "content": {"application/problem+json": {"schema": {"$ref": f"{_REF}Problem"}}},
        }
        if status in (429, 503):
            answer["headers"] = _RETRY_AFTER
        documented[status] = answer
    return documented


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """A required JSON body for `openapi_extra`."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def header(description: str, kind: str = "string") -> dict[str, Any]:
    """A documented response header."""
    return {"description": description, "schema": {"type": kind}}


class Components:
    """Schemas under `#/components/schemas` that no FastAPI model declares."""

    def __init__(self) -> None:
        self._schemas: dict[str, Any] = {}
        self.add("Problem", Problem.model_json_schema())

    def add(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Take a schema in, its `$defs` as components of their own, and give the reference to it."""
        definitions = schema.pop("$defs", {})
        names = {key: f"{name}.{key}" for key in definitions}
        for key, definition in definitions.items():
            self._schemas[names[key]] = _rename(definition, names)
        self._schemas[name] = _rename(schema, names)
        return {"$ref": f"{_REF}{name}"}

    def install(self, app: FastAPI, root: str) -> None:
        """Make `app.openapi()` answer with these components in it, for an API below the path `root`."""

        def openapi() -> dict[str, Any]:
            if app.openapi_schema is None:
                document = get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                    servers=[{"url": root}] if root else None,
                )
                schemas = document.setdefault("components", {}).setdefault("schemas", {})
                _drop_framework_errors(document, schemas)
                schemas.update(self._schemas)
                app.openapi_schema = document
            return app.openapi_schema

        replace: Callable[[], dict[str, Any]] = openapi
        app.openapi = replace  # type: ignore[method-assign]


def _drop_framework_errors(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Take out FastAPI's own 422, which it adds to each route with a parameter: ours are documented where they are."""
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for methods in document["paths"].values():
        for operation in methods.values():
            found = operation["responses"].get("422", {}).get("content", {})
            if found.get("application/json", {}).get("schema", {}).get("$ref") == f"{_REF}HTTPValidationError":
                del operation["responses"]["422"]


def _rename(value: Any, names: dict[str, str]) -> Any:
    """`value` with its local references pointing to components."""
    if isinstance(value, dict):
        found = {key: _rename(each, names) for key, each in value.items()}
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            found["$ref"] = _REF + names[reference.removeprefix("#/$defs/")]
        mapping = value.get("mapping")
        if isinstance(mapping, dict) and "propertyName" in value:  # a discriminator
            found["mapping"] = {
                key: _REF + names.get(str(each).removeprefix("#/$defs/"), str(each)) for key, each in mapping.items()
            }
        return found
    if isinstance(value, list):
        return [_rename(each, names) for each in value]
    return value
