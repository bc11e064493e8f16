"""POST of up to 10,000 ids: their records, with results on demand, at once or when all are final.

The answer is sent in pieces while it is read, so that results need memory for one piece only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.api.body import read_body
from services.api.context import API, Context
from services.api.docs import PREFER, Components, header, json_body, problems
from services.api.errors import ErrorList, invalid
from services.api.headers import read_wishes
from services.api.render import Renderer
from services.api.routers.raw import Handler, raw_route
from services.api.schemas import QueryAnswer, QueryRequest
from services.compute.models import FINAL_STATES
from services.compute.store.records import StoredRecord

_PIECE = 250


def install(app: FastAPI, context: Context, components: Components) -> None:
    """Add the route; before `/tasks/{task_id}`, which has no POST, so that 405 stays right."""
    schema = components.add("QueryRequest", QueryRequest.model_json_schema())

    async def query() -> None:
        """Only documented; see `raw_route`."""

    app.router.add_api_route(
        f"{API}/tasks/query",
        query,
        methods=["POST"],
        name="query_tasks",
        operation_id="query_tasks",
        tags=["tasks"],
        summary="Many tasks at once",
        description=(
            "In the order of the request; `state` is null for a task that has no record. With `include_results` each "
            "DONE task has its `result`, except large ones, which are at their `result_url`. "
            "With `Prefer: wait=N` held until all are final."
        ),
        response_model=QueryAnswer,
        responses={
            200: {"headers": {"Preference-Applied": header("`wait=N`, where a wait was asked for")}},
            **problems(408, 413, 415, 422, 503),
        },
        openapi_extra={"requestBody": json_body(schema), "parameters": [PREFER]},
        route_class_override=raw_route(_handler(context)),
    )


def _handler(context: Context) -> Handler:
    settings, renderer = context.settings, Renderer(context.root)

    async def query(request: Request) -> Response:
        wishes = read_wishes(request.scope["headers"])
        body = await read_body(request.scope, request.receive, settings.body_max_bytes, settings.body_timeout)
        try:
            wanted = QueryRequest.model_validate_json(body)
        except ValidationError as error:
            raise invalid(ErrorList.of(error, ("body",))) from None
        ids = wanted.task_ids
        if wishes.wait and ids:
            await context.hub.wait_final(ids, wishes.wait)
        pieces = _answer(context, renderer, ids, wanted.include_results)
        first = await anext(pieces)  # an error before anything is sent is an answer of its own
        headers = {name.decode(): value.decode() for name, value in wishes.applied}
        return StreamingResponse(
            _chain(first, pieces), media_type="application/json", headers={"cache-control": "no-store", **headers}
        )

    return query


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _answer(context: Context, renderer: Renderer, ids: list[str], with_results: bool) -> AsyncIterator[bytes]:
    all_final = True
    lead = b'{"tasks":['
    for begin in range(0, len(ids), _PIECE):
        piece = ids[begin : begin + _PIECE]
        records = await context.store.get(piece, with_results=with_results)
        parts = []
        for task_id, record in zip(piece, records, strict=True):
            if record is None:
                parts.append(b'{"task_id":%b,"state":null}' % json.dumps(task_id).encode())
            else:
                all_final = all_final and record.state in FINAL_STATES
                parts.append(_one(renderer, record, with_results))
        yield lead + b",".join(parts)
        lead = b","
    yield (lead if lead != b"," else b"") + b'],"all_final":%b}' % (b"true" if all_final else b"false")


def _one(renderer: Renderer, record: StoredRecord, with_results: bool) -> bytes:
    return renderer.record(record, record.result if with_results else None)
