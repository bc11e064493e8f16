"""The served OpenAPI document held against the process that serves it: no 5xx, no schema violation.

Examples, boundary values, random data and chains of requests, the same in each run; all checks of schemathesis are
on, but for what is given a reason here and in `schemathesis.toml`. Once over strict models and without Dask, where
nothing ever ends; once over computations as authors write them, on a worker that runs them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.stack import Stack
from tests.integration.api.conftest import Running

RUN = "from schemathesis.cli import schemathesis; schemathesis()"
INLINE_MAX = 1000

live = module_stack(
    environment={
        "COMPUTE_MODULES": "tests.integration.api.signatures",
        "RESULT_INLINE_MAX": str(INLINE_MAX),
        "STREAM_SECONDS": "5",
        "LOG_FORMAT": "json",
    }
)


def check(url: str, folder: Path, *, examples: int, wait: int) -> str:
    """Let schemathesis loose on the API at `url`; what it says."""
    command = [sys.executable, "-c", RUN, "--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
    command += ["run", f"{url}/api/v1/openapi.json", "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", "use_after_free"]  # DELETE cancels: the record stays
    command += ["--max-examples", str(examples), "--workers", "1", "--request-timeout", "30", "--no-color"]
    command += ["-H", f"Prefer: wait={wait}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return done.stdout


def answered(log: Path) -> list[tuple[str, int]]:
    """Route and status of each request in a log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [(line["route"], line["status"]) for line in lines if line["event"] == "request"]


def test_the_server_keeps_to_its_document(running: Running, tmp_path: Path) -> None:
    said = check(running.url, tmp_path, examples=15, wait=0)  # nothing ever ends here; waiting has tests of its own
    assert "15 selected / 15 total" in said
    statuses = [status for _, status in answered(running.process.log)]
    assert len(statuses) > 300
    assert max(statuses) < 500
    assert httpx.get(f"{running.url}/livez", trust_env=False).status_code == 200


def test_so_it_does_where_tasks_run(live: Stack, tmp_path: Path) -> None:
    said = check(live.apis[0].url, tmp_path, examples=6, wait=10)
    assert "21 selected / 21 total" in said
    met = answered(live.apis[0].log)
    assert max(status for _, status in met) < 500
    tasks = {name: f"/api/v1/computations/{name}/tasks" for name in ("mixture", "table", "large", "failing", "steps")}
    expected = {(tasks[name], 200) for name in ("mixture", "table", "steps")}
    expected |= {(tasks["large"], 303), (tasks["failing"], 202)} | {(path, 422) for path in tasks.values()}
    expected |= {("/api/v1/tasks/{task_id}/result", status) for status in (200, 409)}
    assert expected <= set(met)


class Document:
    """The served document, to hold answers against."""

    def __init__(self, client: Client) -> None:
        self._document = client.http.get("/api/v1/openapi.json").json()

    def holds(self, answer: httpx.Response, method: str, path: str) -> Any:
        """Check an answer's status and body; the body."""
        documented = self._document["paths"][path][method]["responses"][str(answer.status_code)]["content"]
        media = answer.headers["content-type"].partition(";")[0]
        body = answer.json()
        self.valid(body, documented[media]["schema"])
        return body

    def valid(self, value: object, schema: dict[str, Any]) -> None:
        """Check a value."""
        jsonschema_rs.validator_for({**schema, "components": self._document["components"]}).validate(value)

    def event(self, path: str) -> dict[str, Any]:
        """Schema of an event."""
        content = self._document["paths"][path]["get"]["responses"]["200"]["content"]
        schema: dict[str, Any] = content["text/event-stream"]["schema"]
        return schema


@pytest.fixture
def document(live: Stack) -> Iterator[Document]:
    client = live.client()
    yield Document(client)
    client.close()


RECORD = "/api/v1/tasks/{task_id}"
MIXTURE = {"n": 3, "values": [1.5, "NaN"], "shift": "-Infinity", "day": "2024-01-31", "labels": [1, 1]}


@pytest.mark.parametrize(
    ("name", "parameters", "submitted", "result"),
    [
        ("mixture", MIXTURE, 200, 200),
        ("table", {"rows": 3}, 200, 200),
        ("large", {"n": 7}, 303, 200),
        ("failing", {"reason": "no luck"}, 202, 409),
    ],
)
def test_each_end_of_a_task_is_documented(
    live: Stack, document: Document, name: str, parameters: dict[str, Any], submitted: int, result: int
) -> None:
    client = live.client()
    answer = client.post(name, parameters, wait=20)
    assert answer.status_code == submitted, answer.text
    task = document.holds(answer, "post", f"/api/v1/computations/{name}/tasks")
    record = document.holds(client.http.get(f"/api/v1/tasks/{task['task_id']}"), "get", RECORD)
    assert record["state"] == ("FAILED" if result == 409 else "DONE")
    found = client.http.get(f"/api/v1/tasks/{task['task_id']}/result")
    assert found.status_code == result
    value = document.holds(found, "get", f"{RECORD}/result")
    if result == 200:
        document.valid(value, {"$ref": f"#/components/schemas/{name}.result"})
    if name == "large":
        assert len(found.content) > INLINE_MAX
        assert answer.headers["location"] == f"/api/v1/tasks/{task['task_id']}/result"


def test_events_are_documented(live: Stack, document: Document) -> None:
    client = live.client()
    task_id = client.post("steps", {"n": 5}, headers={"Cache-Control": "no-cache"}).json()["task_id"]
    seen = []
    with client.events(task_id) as events:
        for event in events:
            seen.append(event.event)
            document.valid(
                {"event": event.event, "id": event.id, "data": json.dumps(event.data)},
                document.event(f"{RECORD}/events"),
            )
            document.valid(event.data, {"$ref": "#/components/schemas/Record"})
    assert seen[-1] == "state"
    assert "progress" in seen


@pytest.mark.parametrize(
    "wrong",
    [{"n": "12"}, {"n": True}, {"n": "1_0"}, {"principal": "100"}, {"principal": "NaN"}, {"double": 1}, {"day": 0}],
)
def test_what_the_document_forbids_is_refused(live: Stack, document: Document, wrong: dict[str, Any]) -> None:
    answer = live.client().post("mixture", {"n": 1, "values": [], **wrong})
    assert answer.status_code == 422
    problem = document.holds(answer, "post", "/api/v1/computations/mixture/tasks")
    (error,) = problem["errors"]
    assert error["loc"] == ["body", *wrong]
