"""The result of a task: inline from Redis, a redirect to a presigned address, or bytes from the object store."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.api.context import API, Context
from services.api.docs import PREFER, header, problems
from services.api.errors import Problem
from services.api.headers import matches_etag
from services.api.render import REVALIDATE, Renderer, etag
from services.api.responses import Answer, not_modified
from services.api.routers.tasks import TaskId, read
from services.compute.models import Record, State, TaskError
from services.compute.store.records import StoredRecord

_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "An `ETag` of this result: 304 while it is the current one",
    "schema": {"type": "string"},
}


def install(app: FastAPI, context: Context) -> None:
    """Add the route."""
    renderer = Renderer(context.root)

    @app.get(
        f"{API}/tasks/{{task_id}}/result",
        tags=["tasks"],
        summary="A task's result",
        operation_id="get_result",
        responses={
            200: {
                "description": "The result, the bare value; NaN and infinities are strings",
                "headers": {"ETag": header("Strong; changes when the task has run anew")},
                "content": {"application/json": {"schema": {}}},
            },
            202: {
                "description": "Not final yet: the record",
                "model": Record,
                "headers": {"Retry-After": header("Seconds to wait", "integer")},
            },
            304: {"description": "The client has these bytes"},
            307: {
                "description": "A large result: at this address for a while",
                "headers": {"Location": header("Presigned address")},
            },
            **problems(404, 409, 410, 503),
        },
        openapi_extra={"parameters": [PREFER, _IF_NONE_MATCH]},
    )
    async def get_result(request: Request, task_id: TaskId) -> Response:
        """The bare value, once the task is DONE."""
        stored, headers = await read(context, request, task_id, with_results=True)
        if stored.state is State.DONE:
            return await _done(context, request, stored, headers)
        if stored.state is State.FAILED:
            raise _failed(stored)
        if stored.state is State.CANCELLED:
            raise Problem(410, "task-cancelled", "the task was cancelled: POST it again to run it", task_id=task_id)
        return renderer.accepted(stored, headers)


async def _done(
    context: Context, request: Request, stored: StoredRecord, applied: list[tuple[bytes, bytes]]
) -> Response:
    tag = etag(stored)
    headers = [(b"etag", tag.encode()), REVALIDATE, *applied]
    known = request.headers.get("if-none-match")
    if known is not None and matches_etag(known, tag):
        return not_modified(headers)
    if stored.result is not None:
        return Answer(stored.result, 200, headers)
    return await _large(context, stored, headers)


async def _large(context: Context, stored: StoredRecord, headers: list[tuple[bytes, bytes]]) -> Response:
    reference = stored.object
    if reference is None or context.objects is None:
        raise _lost(stored, "this API has no object store (OBJECT_STORE)" if reference else "its result was evicted")
    address = await context.objects.presign(reference)
    if address is not None:
        return Answer(b"", 307, [(b"location", address.encode()), *headers], content_type=b"")
    chunks = await context.objects.open(reference)
    if chunks is None:
        raise _lost(stored, "the object store does not have it any more")
    named = {name.decode(): value.decode() for name, value in headers}
    return StreamingResponse(chunks, media_type="application/json", headers=named)


def _lost(stored: StoredRecord, why: str) -> Problem:
    detail = f"the task is DONE, but its result is not to be had: {why}; POST it again with Cache-Control: no-cache"
    return Problem(404, "result-lost", detail, task_id=stored.task_id)


def _failed(stored: StoredRecord) -> Problem:
    error = TaskError.model_validate_json(stored.error or b'{"type":"unknown","message":""}')
    detail = f"the task FAILED with {error.type}: {error.message}"
    return Problem(
        409, "task-failed", detail, task_id=stored.task_id, attempts=stored.attempts, error=error.model_dump()
    )
