"""The result route: bytes, validators, redirects, and what it says of tasks that have no result."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from services.objects import open_object_store
from services.objects.store import ObjectReader
from tests.unit.api.api import TASKS, Api, check_problem, serve
from tests.unit.api.conftest import Settings


async def test_result_with_a_strong_validator(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, {"a": [1, "NaN"]})
    answer = await api.get(f"{task_id}/result")
    assert (answer.status_code, answer.json()) == (200, {"a": [1, "NaN"]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = await api.get(f"{task_id}/result", if_none_match=known)
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == tag
    assert (await api.get(f"{task_id}/result", if_none_match='"other"')).status_code == 200


async def test_validator_changes_with_each_run(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, 1)
    tag = (await api.get(f"{task_id}/result")).headers["etag"]
    await api.post({"n": 1}, cache_control="no-cache")
    await api.workers.finish(task_id, 1)
    answer = await api.get(f"{task_id}/result", if_none_match=tag)
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


async def test_not_final_failed_cancelled(api: Api) -> None:
    task_id = await api.submit()
    pending = await api.get(f"{task_id}/result")
    assert (pending.status_code, pending.json()["state"]) == (202, "PENDING")
    assert int(pending.headers["retry-after"]) >= 1
    assert pending.headers["location"] == f"{TASKS}/{task_id}"

    await api.workers.fail(task_id, "ValueError", "n is odd")
    document = check_problem(await api.get(f"{task_id}/result"), 409, "task-failed")
    assert document["error"] == {"type": "ValueError", "message": "n is odd"}
    assert "n is odd" in document["detail"]

    await api.post({"n": 1})
    await api.http.delete(f"{TASKS}/{task_id}")
    check_problem(await api.get(f"{task_id}/result"), 410, "task-cancelled")


async def test_wait(api: Api) -> None:
    task_id = await api.submit()
    waiting = asyncio.create_task(api.get(f"{task_id}/result", prefer="wait=20"))
    await asyncio.sleep(0.1)
    await api.workers.finish(task_id, 5)
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, 5)
    assert answer.headers["preference-applied"] == "wait=20"


async def test_null_is_a_result(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, None)
    assert (await api.get(f"{task_id}/result")).content == b"null"
    hit = await api.post({"n": 1})
    assert hit.json()["result"] is None
    (task,) = (await api.query(task_id, results=True)).json()["tasks"]
    assert task["result"] is None


async def test_large_result_from_a_directory(settings: Settings, tmp_path: Path) -> None:
    address = tmp_path.as_uri()
    objects = open_object_store(address)
    value = ["x" * 1000] * 1000
    async with serve(settings(object_store=address)) as api:
        task_id = await api.submit()
        reference = objects.put(f"{task_id}/1", json.dumps(value).encode())
        await api.workers.finish(task_id, ref=reference)
        answer = await api.get(f"{task_id}/result")
        assert (answer.status_code, answer.json()) == (200, value)
        assert answer.headers["content-type"] == "application/json"
        same = await api.get(f"{task_id}/result", if_none_match=answer.headers["etag"])
        assert same.status_code == 304
        objects.delete(reference)
        document = check_problem(await api.get(f"{task_id}/result"), 404, "result-lost")
        assert "no-cache" in document["detail"]


class Presigning:
    """An object store that gives addresses, as S3 does."""

    def presign(self, key: str, ttl: float = 300.0) -> str:
        return f"https://bucket.example/{key}?expires={ttl:g}"

    def open(self, key: str) -> ObjectReader:
        raise AssertionError("the client reads for itself")

    put = get = delete = open

    def sweep(self) -> int:
        return 0


async def test_large_result_at_a_presigned_address(settings: Settings) -> None:
    async with serve(settings(root_path="/tide"), Presigning()) as api:  # type: ignore[arg-type]
        task_id = await api.submit()
        await api.workers.finish(task_id, ref=f"{task_id}/1")
        answer = await api.get(f"{task_id}/result")
        assert (answer.status_code, answer.content) == (307, b"")
        assert answer.headers["location"] == f"https://bucket.example/{task_id}/1?expires=300"
        assert answer.headers["cache-control"] == "no-cache"
        assert "content-type" not in answer.headers
        same = await api.get(f"{task_id}/result", if_none_match=answer.headers["etag"])
        assert same.status_code == 304
        hit = await api.post({"n": 1})
        assert (hit.status_code, hit.headers["location"]) == (303, f"/tide{TASKS}/{task_id}/result")


async def test_large_result_without_an_object_store(api: Api) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, ref="somewhere")
    document = check_problem(await api.get(f"{task_id}/result"), 404, "result-lost")
    assert "OBJECT_STORE" in document["detail"]


@pytest.mark.parametrize("size", [200_000])
async def test_large_inline_results_keep_their_bytes(api: Api, size: int) -> None:
    task_id = await api.submit()
    await api.workers.finish(task_id, "ü" * size)
    assert (await api.get(f"{task_id}/result")).json() == "ü" * size
    assert (await api.post({"n": 1})).json()["result"] == "ü" * size
