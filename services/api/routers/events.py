"""Server-sent events of one task: each is the record as it is, so that losing one loses nothing.

`id` is the record's revision, which every replica knows: a stream broken off resumes anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.api.context import API, Context
from services.api.docs import header, problems
from services.api.errors import overloaded, unknown_task
from services.api.render import Renderer
from services.api.routers.tasks import TaskId, check_id
from services.compute.errors import StoreUnavailable
from services.compute.models import FINAL_STATES, State
from services.compute.store.records import StoredRecord

COMMENT_SECONDS = 15.0
"""A comment goes out when nothing else did for so long: proxies cut silent connections."""

_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "`id` of the last event seen; the stream goes on with the record as it is now",
    "schema": {"type": "string"},
}
_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["state", "progress"]},
        "id": {"type": "string", "description": "Revision of the record"},
        "data": {"type": "string", "contentMediaType": "application/json", "description": "The record"},
    },
    "required": ["event", "id", "data"],
}
_EXAMPLE = 'id: 3\nevent: progress\ndata: {"task_id": "…", "state": "RUNNING", "…": "…"}\n\n'


def install(app: FastAPI, context: Context) -> None:
    """Add the route."""
    renderer = Renderer(context.root)

    @app.get(
        f"{API}/tasks/{{task_id}}/events",
        tags=["tasks"],
        summary="A task's events",
        operation_id="get_events",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "`state` and `progress` events, each with the record; ends when the task is final",
                "content": {"text/event-stream": {"schema": _EVENT, "example": _EXAMPLE}},
                "headers": {"Cache-Control": header("`no-cache`")},
            },
            204: {"description": "The task is final and the last event seen was its last: do not come back"},
            **problems(404, 503),
        },
        openapi_extra={"parameters": [_LAST_EVENT_ID]},
    )
    async def get_events(request: Request, task_id: TaskId) -> Response:
        """Server-sent events: a `state` event for each new state, `progress` between them."""
        check_id(request, task_id)
        if context.streams >= context.settings.streams_max:
            raise overloaded("as many event streams as allowed are open (STREAMS_MAX)")
        (record,) = await context.store.get([task_id])
        if record is None:
            raise unknown_task(task_id)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        if record.state in FINAL_STATES and _revision(request) == record.revision:
            return Response(status_code=204, headers=headers)  # browsers reconnect after any other end
        stream = EventStream(context, renderer, task_id)
        return StreamingResponse(stream.events(), media_type="text/event-stream", headers=headers)


def _revision(request: Request) -> int | None:
    value = request.headers.get("last-event-id", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


class EventStream:
    """One client's stream.

    Args:
        context: store, hub and bounds.
        renderer: for the records.
        task_id: whose events.
    """

    def __init__(self, context: Context, renderer: Renderer, task_id: str) -> None:
        self._context, self._renderer, self._task_id = context, renderer, task_id
        self._seen: int | None = None
        self._state: State | None = None

    async def events(self) -> AsyncIterator[bytes]:
        """Bytes to send, until the task is final, gone, or the stream's time is over."""
        context, loop = self._context, asyncio.get_running_loop()
        end = loop.time() + context.settings.stream_seconds
        comment = loop.time() + COMMENT_SECONDS
        context.streams += 1
        try:
            with context.hub.watch([self._task_id]) as watch:
                while True:
                    watch.changed.clear()
                    record = await self._read()
                    if record is not None:
                        if (event := self._event(record)) is not None:
                            comment = loop.time() + COMMENT_SECONDS
                            yield event
                        if record.state in FINAL_STATES:
                            return
                    if self._over or context.hub.closing or loop.time() >= end:
                        return
                    if loop.time() >= comment:
                        comment = loop.time() + COMMENT_SECONDS
                        yield b": still here\n\n"
                    await context.hub.pause(watch, min(comment, end))
        finally:
            context.streams -= 1

    _over = False

    async def _read(self) -> StoredRecord | None:
        """The record; None while Redis is away, and when it is gone, which ends the stream."""
        try:
            (record,) = await self._context.store.get([self._task_id])
        except StoreUnavailable:
            await asyncio.sleep(1.0)
            return None
        self._over = record is None
        return record

    def _event(self, record: StoredRecord) -> bytes | None:
        """The event that tells of this record; None when this stream has told of it."""
        state, revision = record.state, record.revision
        if revision == self._seen:
            return None
        kind = b"progress" if state is self._state else b"state"
        self._seen, self._state = revision, state
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (revision, kind, self._renderer.record(record))
