"""Results and errors that are hard to store fail clearly, and the worker process lives on."""

from __future__ import annotations

import httpx
import pytest

from tests.harness.client import Json
from tests.harness.fixtures import module_stack
from tests.harness.stack import Stack

LIMIT = 1_000_000
stack = module_stack(environment={"RESULT_MAX_BYTES": str(LIMIT)})


def process_of(stack: Stack) -> int:
    """Return the id of the only worker process."""
    answer = stack.client().post("process_id", {}, wait=20, headers={"Cache-Control": "no-cache"})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["result"])


@pytest.mark.parametrize(
    ("name", "parameters", "kind", "words"),
    [
        ("sized", {"size": 2 * LIMIT}, "result_too_large", ["2,000,002", "1,000,000", "RESULT_MAX_BYTES"]),
        ("loud", {"size": 10_000_000}, "ValueError", ["why yyy"]),
        ("unserialisable", {}, "unserialisable_result", ["lock"]),
    ],
)
def test_fails_with_a_clear_problem_and_the_worker_lives(
    stack: Stack, name: str, parameters: Json, kind: str, words: list[str]
) -> None:
    client = stack.client()
    pid = process_of(stack)
    (record,) = client.wait_final([client.submit(name, parameters)])
    assert record["state"] == "FAILED"
    assert record["attempts"] == 1, "trying again would change nothing"
    assert record["error"]["type"] == kind
    assert len(record["error"]["message"]) <= 2500
    problem = client.result(record["task_id"])
    assert problem.status_code == 409
    assert problem.headers["content-type"].startswith("application/problem+json")
    body = problem.json()
    assert body["type"].startswith("urn:tidegate:")
    assert body["status"] == 409
    assert all(word in body["detail"] for word in words), body["detail"]
    assert process_of(stack) == pid


def test_a_large_result_travels_through_the_object_store(stack: Stack) -> None:
    client = stack.client()
    size = 600_000
    answer = client.post("sized", {"size": size}, wait=20)
    assert answer.status_code == 303, answer.text[:300]
    task_id = client.submit("sized", {"size": size, "n": 1})
    client.done([task_id])
    assert client.value(task_id) == "x" * size
    stored = [path for path in (stack.directory / "objects").rglob("*") if path.is_file()]
    assert any(path.stat().st_size >= size for path in stored)

    first: httpx.Response = client.result(task_id)
    etag = first.headers["ETag"]
    assert not etag.startswith("W/")
    again = client.http.get(f"/api/v1/tasks/{task_id}/result", headers={"If-None-Match": etag})
    assert again.status_code == 304
    hit = client.http.post("/api/v1/computations/sized/tasks", json={"size": size, "n": 1}, follow_redirects=True)
    assert hit.json() == "x" * size
