"""POST of one task: what is created, joined, found, refused, and what the headers say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.compute.models import Record
from tests.unit.api.api import ADD, TASKS, Api, check_problem, serve
from tests.unit.api.conftest import Settings


async def test_new_task_is_accepted(api: Api) -> None:
    answer = await api.post({"n": 10})
    assert answer.status_code == 202
    record = Record.model_validate_json(answer.content)
    assert record.task_id.startswith("add-")
    assert (record.computation, record.version, record.state, record.attempts) == ("add", "1", "PENDING", 0)
    assert record.parameters == {"n": 10, "seed": 0}
    assert record.result_url == f"{TASKS}/{record.task_id}/result"
    assert answer.headers["location"] == f"{TASKS}/{record.task_id}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["cache-control"] == "no-store"
    assert "preference-applied" not in answer.headers


async def test_equal_parameters_join_and_then_hit(api: Api) -> None:
    task_id = await api.submit(10)
    joined = await api.post({"seed": 0, "n": 10})
    assert (joined.status_code, joined.json()["task_id"]) == (202, task_id)
    await api.workers.finish(task_id, 10)
    hit = await api.post({"n": 10})
    assert hit.status_code == 200
    assert hit.json()["task_id"] == task_id
    assert (hit.json()["state"], hit.json()["result"]) == ("DONE", 10)
    assert "retry-after" not in hit.headers


async def test_no_cache_runs_a_final_task_anew_and_joins_one_that_is_not(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, 1)
    anew = await api.post({"n": 1}, cache_control="max-age=0, no-cache")
    assert (anew.status_code, anew.json()["state"]) == (202, "PENDING")
    joined = await api.post({"n": 1}, cache_control="no-cache")
    assert joined.json()["revision"] == anew.json()["revision"]
    await api.workers.finish(task_id, 2)
    assert (await api.post({"n": 1})).json()["result"] == 2


async def test_failed_and_cancelled_tasks_start_anew(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.fail(task_id, "ValueError", "no")
    assert (await api.post({"n": 1})).json()["state"] == "PENDING"
    await api.http.delete(f"{TASKS}/{task_id}")
    answer = await api.post({"n": 1})
    assert (answer.status_code, answer.json()["state"], answer.json()["error"]) == (202, "PENDING", None)


async def test_wait_is_answered_as_soon_as_the_task_is_done(api: Api) -> None:
    begun = time.monotonic()
    posted = asyncio.create_task(api.post({"n": 3}, prefer="respond-async, wait=20"))
    await asyncio.sleep(0.3)
    (task,) = (await api.http.get(TASKS)).json()["tasks"]
    await api.workers.finish(task["task_id"], 3)
    answer = await posted
    assert time.monotonic() - begun < 10
    assert (answer.status_code, answer.json()["result"]) == (200, 3)
    assert answer.headers["preference-applied"] == "wait=20"


async def test_wait_ends_in_time_and_with_a_failure(api: Api) -> None:
    answer = await api.post({"n": 3}, prefer="wait=1")
    assert (answer.status_code, answer.json()["state"]) == (202, "PENDING")
    assert answer.headers["preference-applied"] == "wait=1"
    posted = asyncio.create_task(api.post({"n": 3}, prefer="wait=20"))
    await asyncio.sleep(0.1)
    await api.workers.fail(answer.json()["task_id"], "ValueError", "no")
    failed = await posted
    assert (failed.status_code, failed.json()["state"]) == (202, "FAILED")
    assert failed.json()["error"] == {"type": "ValueError", "message": "no"}
    assert "retry-after" not in failed.headers


async def test_a_hit_on_a_large_result_redirects(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, ref="somewhere")
    answer = await api.post({"n": 1})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{TASKS}/{task_id}/result"
    assert answer.json()["task_id"] == task_id


@pytest.mark.parametrize(
    ("parameters", "loc", "kind"),
    [
        ({}, ["body", "n"], "missing"),
        ({"n": -1}, ["body", "n"], "greater_than_equal"),
        ({"n": "many"}, ["body", "n"], "int_type"),
        ({"n": 1, "other": 2}, ["body", "other"], "extra_forbidden"),
        ([], ["body"], "model_type"),
        (7, ["body"], "model_type"),
    ],
)
async def test_refused_parameters(api: Api, parameters: object, loc: list[str], kind: str) -> None:
    document = check_problem(await api.post(parameters), 422, "invalid-request")
    (error,) = document["errors"]
    assert error.keys() == {"loc", "msg", "type"}
    assert (error["loc"], error["type"]) == (loc, kind)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"n": NaN}',
        b'{"n": 1, "seed": Infinity}',
        b'{"n": 1, "n": 2}',
        b'{"n": 1} {}',
        b'{"n": 1' + 5000 * b"0" + b"}",
        b'{"n": 1e999}',
        b'{"n": "\xff"}',
        b'{"n": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        100_000 * b"[",
        b'{"n": ' + 100_000 * b"[",
        b'{"n":1, "seed": ' + 150 * b'{"a":' + b"1" + 150 * b"}" + b"}",
    ],
    ids=lambda body: body[:16].decode("latin-1"),
)
async def test_what_is_no_json_is_refused(api: Api, body: bytes) -> None:
    answer = await api.http.post(f"{ADD}/tasks", content=body)
    document = check_problem(answer, 422, "invalid-request")
    assert document["errors"]
    assert len(answer.content) < 2000


@pytest.mark.parametrize("body", [b'{"points": [{"x": NaN}]}', b'{"points": [{"x": 1, "x": 2}]}'])
async def test_json_is_held_to_its_rfc_below_the_top_too(api: Api, body: bytes) -> None:
    answer = await api.http.post("/api/v1/computations/locate/tasks", content=body)
    (error,) = check_problem(answer, 422, "invalid-request")["errors"]
    assert error["type"] == "json_invalid"


async def test_texts_may_say_what_json_may_not(api: Api) -> None:
    body = {"points": [{"x": "NaN", "tags": ["a:b", "NaN"]}], "text": 'Infinity: "{:}"'}
    answer = await api.http.post("/api/v1/computations/locate/tasks", json=body)
    assert answer.status_code == 202
    assert answer.json()["parameters"]["text"] == body["text"]


async def test_many_errors_are_cut(api: Api) -> None:
    some = {f"field{n}": 1 for n in range(500)}
    errors = check_problem(await api.post(some), 422, "invalid-request")["errors"]
    assert len(errors) == 100
    answer = await api.post({"x" * 5000: 1, **{f"field{n}": 1 for n in range(5000)}})
    (error,) = check_problem(answer, 422, "invalid-request")["errors"]
    assert "5002 errors" in error["msg"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("application/vnd.api+json", 202),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
async def test_content_types(api: Api, content_type: str, status: int) -> None:
    answer = await api.http.post(f"{ADD}/tasks", content=b'{"n": 1}', headers={"content-type": content_type})
    if status == 202:
        assert answer.status_code == 202
    else:
        check_problem(answer, 415, "unsupported-media-type")


async def test_body_limit(settings: Settings) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"n": '
        for _ in range(20):
            yield 100 * b"1"

    async with serve(settings(body_max_bytes=1024)) as api:
        assert (await api.http.post(f"{ADD}/tasks", content=b'{"n": 1}' + 1016 * b" ")).status_code == 202
        for path in ("tasks", "batches"):
            declared = await api.http.post(f"{ADD}/{path}", content=1025 * b" ")
            check_problem(declared, 413, "body-too-large")
            chunked = await api.http.post(f"{ADD}/{path}", content=chunks())
            check_problem(chunked, 413, "body-too-large")


async def test_a_body_that_does_not_come(settings: Settings) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    async with serve(settings(body_timeout=0.2)) as api:
        check_problem(await api.http.post(f"{ADD}/tasks", content=slow()), 408, "body-timeout")


async def test_full_queue(settings: Settings) -> None:
    async with serve(settings(queue_max=2)) as api:
        ids = [await api.submit(n) for n in range(2)]
        document = check_problem(answer := await api.post({"n": 2}), 429, "queue-full")
        assert int(answer.headers["retry-after"]) >= 1
        assert "2" in document["detail"]
        assert (await api.post({"n": 1})).status_code == 202, "joining needs no room"
        await api.workers.finish(ids[0], 0)
        assert (await api.post({"n": 0})).status_code == 200
        assert (await api.post({"n": 2})).status_code == 202


async def test_unknown_computation(api: Api) -> None:
    for end in ("tasks", "batches"):
        answer = await api.http.post(f"/api/v1/computations/subtract/{end}", json={})
        document = check_problem(answer, 404, "unknown-computation")
        assert document["computations"] == ["add", "locate"]
        assert "add, locate" in document["detail"]


async def test_five_hundred_equal_posts_are_one_task(api: Api) -> None:
    answers = await asyncio.gather(*(api.post({"n": 77}) for _ in range(500)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert {answer.json()["revision"] for answer in answers} == {answers[0].json()["revision"]}
