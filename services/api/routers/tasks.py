"""One task: its record, its cancellation; and the list of recent tasks."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from services.api.context import API, Context, about
from services.api.docs import PREFER, header, problems
from services.api.errors import Problem, invalid, unknown_task
from services.api.headers import read_wishes
from services.api.render import NO_STORE, Renderer
from services.api.responses import Answer
from services.api.schemas import TASK_ID, TaskList
from services.compute.models import Record, State
from services.compute.store.records import StoredRecord

_TASK_ID = re.compile(TASK_ID.removeprefix("^").removesuffix("$"))
PAGE_MAX = 500
_CURSOR_CHARS = 300

TaskId = Annotated[str, Path(description="As answered by POST", examples=["fibonacci-" + 32 * "0"])]


def check_id(request: Request, task_id: str) -> str:
    """The id of a request's task, noted for its log line; 404 when it cannot be one."""
    if _TASK_ID.fullmatch(task_id) is None:
        raise unknown_task(task_id)
    about(request.scope, task_id)
    return task_id


async def read(
    context: Context, request: Request, task_id: str, *, with_results: bool = False
) -> tuple[StoredRecord, list[tuple[bytes, bytes]]]:
    """A task's record, after the wait that the request asks for; and the headers that say so.

    Raises:
        Problem: 404 when there is none.
    """
    check_id(request, task_id)
    wishes = read_wishes(request.scope["headers"], json=False)
    if wishes.wait:
        record = await context.hub.final_record(task_id, wishes.wait, with_results=with_results)
    else:
        (record,) = await context.store.get([task_id], with_results=with_results)
    if record is None:
        raise unknown_task(task_id)
    return record, wishes.applied


def install(app: FastAPI, context: Context) -> None:
    """Add the routes."""
    renderer = Renderer(context.root)
    documented: dict[str, Any] = {"tags": ["tasks"], "response_model": Record}

    @app.get(
        f"{API}/tasks/{{task_id}}",
        summary="A task's record",
        operation_id="get_task",
        responses={
            200: {"headers": {"Retry-After": header("While it is not final: seconds to wait", "integer")}},
            **problems(404, 503),
        },
        openapi_extra={"parameters": [PREFER]},
        **documented,
    )
    async def get_task(request: Request, task_id: TaskId) -> Response:
        """State, progress and times; with `Prefer: wait=N` held until the task is final."""
        record, headers = await read(context, request, task_id)
        return renderer.current(record, headers)

    @app.delete(
        f"{API}/tasks/{{task_id}}",
        summary="Cancel a task",
        operation_id="cancel_task",
        responses=problems(404, 503),
        **documented,
    )
    async def cancel_task(request: Request, task_id: TaskId) -> Response:
        """A task that is not final becomes CANCELLED, and stops at its next progress report; one that is stays."""
        check_id(request, task_id)
        computation = context.registry.get(task_id.rpartition("-")[0])
        ttl_ms = int((computation.result_ttl if computation else 86_400.0) * 1000)
        (record,) = await context.store.cancel([task_id], ttl_ms=ttl_ms)
        if record is None:
            raise unknown_task(task_id)
        return renderer.current(record, [])

    @app.get(
        f"{API}/tasks",
        tags=["tasks"],
        response_model=TaskList,
        summary="Recent tasks",
        operation_id="list_tasks",
        responses=problems(422, 503),
    )
    async def list_tasks(
        state: Annotated[State | None, Query(description="Only tasks in this state")] = None,
        computation: Annotated[str | None, Query(description="Only tasks of this computation", max_length=64)] = None,
        cursor: Annotated[
            str | None, Query(description="`next_cursor` of the page before", max_length=_CURSOR_CHARS)
        ] = None,
        limit: Annotated[int, Query(description="Tasks on a page", ge=1, le=PAGE_MAX)] = 50,
    ) -> Response:
        """The newest first; a page may be shorter than `limit`, even empty, and still have a `next_cursor`."""
        try:
            page = await context.store.recent(state=state, computation=computation, cursor=cursor, limit=limit)
        except ValueError as error:
            raise _bad_cursor(error) from None
        tasks = b",".join(renderer.record(record) for record in page.records)
        following = b"null" if page.next_cursor is None else b'"%b"' % page.next_cursor.encode()
        return Answer(b'{"tasks":[%b],"next_cursor":%b}' % (tasks, following), 200, [NO_STORE])


def _bad_cursor(error: ValueError) -> Problem:
    return invalid([{"loc": ["query", "cursor"], "msg": str(error), "type": "cursor"}])
