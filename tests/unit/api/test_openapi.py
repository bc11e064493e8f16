"""The OpenAPI document: real models for each computation, every answer described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
from fastapi.routing import APIRoute

from services.compute.models import Record
from tests.unit.api.api import ADD, TASKS, Api


async def document(api: Api) -> dict[str, Any]:
    answer = await api.http.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def references(value: Any) -> Iterator[str]:
    """All `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


async def test_it_is_valid_and_complete(api: Api) -> None:
    spec = await document(api)
    served = {
        (method, route.path)
        for route in api.app.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods or ()
    }
    described = {(method.upper(), path) for path, methods in spec["paths"].items() for method in methods}
    assert described == served
    for methods in spec["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["tags"]
    assert "HTTPValidationError" not in spec["components"]["schemas"]
    for reference in references(spec):
        found: Any = spec
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


async def test_each_computation_has_its_own_models(api: Api) -> None:
    spec = await document(api)
    operation = spec["paths"][f"{ADD}/tasks"]["post"]
    assert operation["summary"] == "Return n + seed."
    assert "second paragraph" in operation["description"]
    assert {"200", "202", "303", "408", "413", "415", "422", "429", "503"} == operation["responses"].keys()
    body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = spec["components"]["schemas"][body.rpartition("/")[2]]
    assert schema["required"] == ["n"]
    assert schema["additionalProperties"] is False
    for status in ("422", "429", "503"):
        assert "application/problem+json" in operation["responses"][status]["content"]
    assert "Retry-After" in operation["responses"]["429"]["headers"]
    assert "locate.parameters.Point" in spec["components"]["schemas"]


async def test_answers_are_as_described(api: Api) -> None:
    spec = await document(api)

    def check(path: str, status: str, body: object, media: str = "application/json", method: str = "post") -> None:
        schema = spec["paths"][path][method]["responses"][status]["content"][media]["schema"]
        jsonschema_rs.validate({**schema, "components": spec["components"]}, body)

    created = await api.post({"n": 1})
    check(f"{ADD}/tasks", "202", created.json())
    task_id = created.json()["task_id"]
    await api.workers.finish(task_id, 1)
    check(f"{ADD}/tasks", "200", (await api.post({"n": 1})).json())
    check(f"{ADD}/tasks", "422", (await api.post({})).json(), "application/problem+json")
    check(f"{ADD}/batches", "202", (await api.batch({"n": 1}, {})).json())
    check(f"{TASKS}/query", "200", (await api.query(task_id, "x", results=True)).json())
    check(TASKS, "200", (await api.http.get(TASKS)).json(), method="get")
    check("/api/v1/computations", "200", (await api.http.get("/api/v1/computations")).json(), method="get")
    check("/api/v1/fleet", "200", (await api.http.get("/api/v1/fleet")).json(), method="get")
    assert set((await api.get(task_id)).json()) == set(Record.model_fields)


async def test_documentation_page(api: Api) -> None:
    page = await api.http.get("/api/v1/docs")
    assert page.status_code == 200
    assert "/api/v1/openapi.json" in page.text


async def test_computations_are_listed_with_their_schemas(api: Api) -> None:
    listed = (await api.http.get("/api/v1/computations")).json()["computations"]
    assert [each["name"] for each in listed] == ["add", "locate"]
    add = listed[0]
    assert (add["version"], add["summary"], add["result_ttl"]) == ("1", "Return n + seed.", 600)
    assert add["parameters"]["properties"]["n"]["minimum"] == 0
    assert add["result"]["type"] == "integer"
    assert add["tasks_url"] == f"{ADD}/tasks"
