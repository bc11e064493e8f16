"""Records, cancellation and the list of recent tasks."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.compute.models import Record
from tests.unit.api.api import TASKS, UNKNOWN, Api, check_problem


async def test_record_through_a_task_s_life(api: Api) -> None:
    task_id = await api.submit()
    pending = await api.get(task_id)
    assert (pending.status_code, pending.json()["state"]) == (200, "PENDING")
    assert int(pending.headers["retry-after"]) >= 1

    await api.workers.start()
    await api.workers.report(task_id, 3, 10)
    running = Record.model_validate_json((await api.get(task_id)).content)
    assert (running.state, running.attempts) == ("RUNNING", 1)
    assert running.progress is not None
    assert (running.progress.done, running.progress.total) == (3, 10)
    assert running.started_at is not None
    assert running.started_at >= running.created_at

    await api.workers.finish(task_id, 1)
    answer = await api.get(task_id)
    assert "retry-after" not in answer.headers
    done = Record.model_validate_json(answer.content)
    assert done.state == "DONE"
    assert done.finished_at is not None
    assert done.expires_at is not None
    assert done.expires_at > done.finished_at
    assert done.revision > running.revision > pending.json()["revision"]
    assert answer.json()["created_at"].endswith("Z")
    assert "result" not in answer.json()


async def test_wait_is_answered_when_the_task_ends(api: Api) -> None:
    task_id = await api.submit()
    begun = time.monotonic()
    waiting = [asyncio.create_task(api.get(task_id, prefer="wait=20")) for _ in range(40)]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    await api.workers.start()
    await asyncio.sleep(0.1)
    assert not any(each.done() for each in waiting), "a task that runs is not final"
    await api.workers.finish(task_id, 1)
    answers = await asyncio.gather(*waiting)
    assert time.monotonic() - begun < 10
    assert {answer.json()["state"] for answer in answers} == {"DONE"}
    assert {answer.headers["preference-applied"] for answer in answers} == {"wait=20"}


async def test_wait_ends_in_time(api: Api) -> None:
    task_id = await api.submit()
    begun = time.monotonic()
    answer = await api.get(task_id, prefer="wait=1")
    assert 0.9 < time.monotonic() - begun < 5
    assert answer.json()["state"] == "PENDING"


@pytest.mark.parametrize("task_id", [UNKNOWN, "nope", "add-123", UNKNOWN.upper(), f"{UNKNOWN}0", "a b", "x" * 3000])
async def test_unknown_tasks(api: Api, task_id: str) -> None:
    for end in ("", "/result", "/events"):
        document = check_problem(await api.get(task_id + end, prefer="wait=10"), 404, "unknown-task")
        assert len(document["detail"]) < 300
    check_problem(await api.http.delete(f"{TASKS}/{task_id}"), 404, "unknown-task")


async def test_cancel(api: Api) -> None:
    queued, running, done = [await api.submit(n) for n in range(3)]
    await api.workers.start()
    await api.workers.finish(done, 2)
    for task_id in (queued, running):
        answer = await api.http.delete(f"{TASKS}/{task_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "CANCELLED")
        assert answer.json()["expires_at"]
    answer = await api.http.delete(f"{TASKS}/{done}")
    assert (answer.status_code, answer.json()["state"]) == (200, "DONE")
    assert (await api.get(f"{done}/result")).json() == 2


async def test_cancel_wakes_who_waits(api: Api) -> None:
    task_id = await api.submit()
    waiting = asyncio.create_task(api.get(task_id, prefer="wait=20"))
    await asyncio.sleep(0.1)
    await api.http.delete(f"{TASKS}/{task_id}")
    assert (await waiting).json()["state"] == "CANCELLED"


async def test_list_pages_from_the_newest(api: Api) -> None:
    assert (await api.http.get(TASKS)).json() == {"tasks": [], "next_cursor": None}
    ids = []
    for n in range(7):
        ids.append(await api.submit(n))
        await asyncio.sleep(0.003)  # creation times are milliseconds
    seen: list[str] = []
    cursor: str | None = None
    while True:
        answer = await api.http.get(TASKS, params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        page = answer.json()
        for task in page["tasks"]:
            Record.model_validate(task, strict=False)
        seen += [task["task_id"] for task in page["tasks"]]
        assert len(page["tasks"]) <= 3
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_list_filters(api: Api) -> None:
    first, second = await api.submit(1), await api.submit(2)
    other = await api.http.post("/api/v1/computations/locate/tasks", json={"points": []})
    await api.http.delete(f"{TASKS}/{first}")

    async def ids(**query: str) -> set[str]:
        return {task["task_id"] for task in (await api.http.get(TASKS, params=query)).json()["tasks"]}

    assert await ids(state="CANCELLED") == {first}
    assert await ids(computation="locate") == {other.json()["task_id"]}
    assert await ids(state="PENDING", computation="add") == {second}
    assert await ids(computation="none") == set()


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "501"}, {"limit": "x"}, {"state": "done"}, {"cursor": "!"}, {"cursor": "YWJj"}]
)
async def test_list_refuses_what_it_does_not_understand(api: Api, query: dict[str, str]) -> None:
    document = check_problem(await api.http.get(TASKS, params=query), 422, "invalid-request")
    assert document["errors"][0]["loc"] == ["query", *query]
