"""Server-sent events: one for each state and progress, resumable, ended when the task is final."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from services.api.render import Renderer
from services.api.routers import events
from services.api.routers.events import EventStream
from tests.harness.client import Event, server_sent
from tests.unit.api.api import Api, check_problem, eventually, serve
from tests.unit.api.conftest import Settings


async def read(api: Api, task_id: str, after: str | None = None) -> list[Event]:
    """The events of a stream that ends."""
    headers = {} if after is None else {"last_event_id": after}
    answer = await api.get(f"{task_id}/events", **headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    return list(server_sent(iter(answer.text.split("\n"))))


async def test_a_task_s_life(api: Api) -> None:
    task_id = await api.submit()
    reading = asyncio.create_task(read(api, task_id))
    for step in (api.workers.start(), api.workers.report(task_id, 1, 2), api.workers.report(task_id, 2, 2)):
        await asyncio.sleep(0.1)
        await step
    await asyncio.sleep(0.1)
    await api.workers.finish(task_id, 1)
    seen = await reading
    assert [(event.event, event.data["state"]) for event in seen] == [
        ("state", "PENDING"),
        ("state", "RUNNING"),
        ("progress", "RUNNING"),
        ("progress", "RUNNING"),
        ("state", "DONE"),
    ]
    assert [event.data["progress"]["done"] for event in seen if event.event == "progress"] == [1, 2]
    revisions = [int(event.id or 0) for event in seen]
    assert revisions == [event.data["revision"] for event in seen]
    assert all(first < second for first, second in pairwise(revisions))
    await eventually(lambda: api.context.streams == 0)


async def test_a_final_task_s_stream_is_its_record(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, 1)
    (event,) = await read(api, task_id)
    assert (event.event, event.data) == ("state", (await api.get(task_id)).json())
    for after in ("1", "x", "9" * 30):
        assert await read(api, task_id, after) == [event]
    seen = await api.get(f"{task_id}/events", last_event_id=str(event.id))
    assert (seen.status_code, seen.content) == (204, b""), "a browser does not come back after it"
    assert seen.headers["cache-control"] == "no-cache"
    await api.post({"n": 1}, cache_control="no-cache")
    await api.http.delete(f"/api/v1/tasks/{task_id}")
    assert [event.data["state"] for event in await read(api, task_id, str(event.id))] == ["CANCELLED"]


async def test_resume_begins_with_the_record_as_it_is(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.start()
    revision = str((await api.get(task_id)).json()["revision"])
    reading = asyncio.create_task(read(api, task_id, revision))
    await asyncio.sleep(0.1)
    await api.workers.report(task_id, 1)
    await asyncio.sleep(0.1)
    await api.workers.finish(task_id, 1)
    seen = await reading
    assert [(event.event, event.data["state"]) for event in seen] == [
        ("state", "RUNNING"),
        ("progress", "RUNNING"),
        ("state", "DONE"),
    ]
    assert seen[0].id == revision


async def test_streams_are_bounded_in_number_and_time(settings: Settings) -> None:
    async with serve(settings(streams_max=1, stream_seconds=0.5)) as api:
        task_id = await api.submit()
        reading = asyncio.create_task(read(api, task_id))
        await eventually(lambda: api.context.streams == 1)
        refused = await api.get(f"{task_id}/events")
        check_problem(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert [event.data["state"] for event in await reading] == ["PENDING"]
        assert api.context.streams == 0


async def test_comments_keep_a_silent_stream_open(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_SECONDS", 0.1)
    task_id = await api.submit()
    stream: AsyncIterator[bytes] = EventStream(api.context, Renderer(""), task_id).events()
    assert (await anext(stream)).startswith(b"id: 1\nevent: state\ndata: {")
    for _ in range(3):
        assert (await anext(stream)).startswith(b":")
    await api.workers.finish(task_id, 1)
    rest: list[Any] = [piece async for piece in stream if not piece.startswith(b":")]
    assert b'"state":"DONE"' in rest[-1]


async def test_the_end_of_the_process_ends_streams(api: Api) -> None:
    task_id = await api.submit()
    reading = asyncio.create_task(read(api, task_id))
    await eventually(lambda: api.context.streams == 1)
    api.context.hub.close()
    async with asyncio.timeout(2):
        assert [event.data["state"] for event in await reading] == ["PENDING"]


async def test_a_task_that_is_forgotten_ends_its_stream(api: Api) -> None:
    task_id = await api.submit()
    stream = EventStream(api.context, Renderer(""), task_id).events()
    await anext(stream)
    await api.store._client.flushdb()
    api.context.hub._tell_all()
    assert [piece async for piece in stream] == []
