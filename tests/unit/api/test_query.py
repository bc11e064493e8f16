"""Many tasks at once: in order, with results, held until all are final."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.unit.api.api import TASKS, UNKNOWN, Api, check_problem


async def test_records_in_order(api: Api) -> None:
    first = await api.submit(1)
    await api.workers.finish(first, 10)
    second = await api.submit(2)
    answer = await api.query(second, UNKNOWN, first, 'no "id"', second)
    assert answer.status_code == 200
    body = answer.json()
    assert [task["state"] for task in body["tasks"]] == ["PENDING", None, "DONE", None, "PENDING"]
    assert body["tasks"][1] == {"task_id": UNKNOWN, "state": None}
    assert body["tasks"][3] == {"task_id": 'no "id"', "state": None}
    assert body["all_final"] is False
    assert "result" not in body["tasks"][2]
    assert (await api.query()).json() == {"tasks": [], "all_final": True}


async def test_results_on_demand(api: Api) -> None:
    first, second, large = [await api.submit(n) for n in range(3)]
    await api.workers.start()
    await api.workers.finish(first, 10)
    await api.workers.finish(large, ref="somewhere")
    tasks = (await api.query(first, second, large, results=True)).json()["tasks"]
    assert tasks[0]["result"] == 10
    assert "result" not in tasks[1]
    assert "result" not in tasks[2], "a large one is at its result_url"


async def test_wait_until_all_are_final(api: Api) -> None:
    ids = [await api.submit(n) for n in range(300)]
    begun = time.monotonic()
    waiting = asyncio.create_task(api.query(*ids, UNKNOWN, results=True, prefer="wait=25"))
    await asyncio.sleep(0.2)
    for n, task_id in enumerate(ids):
        assert not waiting.done()
        await api.workers.finish(task_id, n)
    answer = await waiting
    assert time.monotonic() - begun < 20
    assert answer.json()["all_final"] is True
    assert [task["result"] for task in answer.json()["tasks"][:-1]] == list(range(300))
    assert answer.headers["preference-applied"] == "wait=25"


async def test_wait_ends_in_time(api: Api) -> None:
    task_id = await api.submit()
    begun = time.monotonic()
    answer = await api.query(task_id, prefer="wait=1")
    assert 0.9 < time.monotonic() - begun < 5
    assert answer.json()["all_final"] is False


async def test_ten_thousand_ids(api: Api) -> None:
    ids = [item["task_id"] for item in (await api.batch(*({"n": n} for n in range(2_000)))).json()["items"]]
    answer = await api.query(*(ids * 5))
    assert [task["task_id"] for task in answer.json()["tasks"]] == ids * 5
    check_problem(await api.query(*(ids * 5), ids[0]), 422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"task_ids": 1}',
        b'{"task_ids": [1]}',
        b'{"task_ids": [], "x": 1}',
        b'{"task_ids": ["\xff"]}',
    ],
)
async def test_malformed_queries(api: Api, body: bytes) -> None:
    check_problem(await api.http.post(f"{TASKS}/query", content=body), 422, "invalid-request")
