"""What a client of one API process does in a test; each wait has an end, each refusal fails the test with its body."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]
FINAL = frozenset({"DONE", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    event: str
    id: str | None
    data: Json


def server_sent(lines: Iterator[str]) -> Iterator[Event]:
    """Parse an event stream; comments are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            key, _, value = line.partition(":")
            fields[key] = value.removeprefix(" ")


class Client:
    """HTTP client of the API at `url`."""

    def __init__(self, url: str, *, timeout: float = 40.0) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def post(
        self, name: str, parameters: Json, *, wait: int | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST one task and return the answer, whatever it is."""
        prefer = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self.http.post(
            f"/api/v1/computations/{name}/tasks", json=parameters, headers={**prefer, **(headers or {})}
        )

    def submit(self, name: str, parameters: Json) -> str:
        """POST one task that must be accepted; return its id."""
        answer = self.post(name, parameters)
        assert answer.status_code in (200, 202), (answer.status_code, answer.text)
        return str(answer.json()["task_id"])

    def batch(self, name: str, parameters: Sequence[Json]) -> list[str]:
        """POST a batch that must be accepted whole; return the ids in order."""
        answer = self.http.post(f"/api/v1/computations/{name}/batches", json={"parameters": list(parameters)})
        assert answer.status_code == 202, (answer.status_code, answer.text[:2000])
        return [item["task_id"] for item in answer.json()["items"]]

    def get(self, task_id: str, *, wait: int | None = None) -> Json:
        """Return the record."""
        answer = self.http.get(f"/api/v1/tasks/{task_id}", headers={} if wait is None else {"Prefer": f"wait={wait}"})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return dict(answer.json())

    def result(self, task_id: str) -> httpx.Response:
        """Return the answer of the result route, redirects followed."""
        return self.http.get(f"/api/v1/tasks/{task_id}/result", follow_redirects=True)

    def value(self, task_id: str) -> Any:
        """Return the result of a task that is DONE."""
        answer = self.result(task_id)
        assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
        return answer.json()

    def cancel(self, task_id: str) -> Json:
        """DELETE the task; return its record."""
        answer = self.http.delete(f"/api/v1/tasks/{task_id}")
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return dict(answer.json())

    def query(self, task_ids: Sequence[str], *, wait: int | None = None, results: bool = False) -> Json:
        """Return the answer of one query for at most 10,000 tasks."""
        answer = self.http.post(
            "/api/v1/tasks/query",
            json={"task_ids": list(task_ids), "include_results": results},
            headers={} if wait is None else {"Prefer": f"wait={wait}"},
        )
        assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
        return dict(answer.json())

    def wait_final(self, task_ids: Sequence[str], *, seconds: float = 60.0) -> list[Json]:
        """Wait until all tasks are final, through outages of this API or its Redis; return the records in order."""
        end = time.monotonic() + seconds
        last: object = None
        telling: list[Json] = []
        while time.monotonic() < end:
            try:
                answer = self.query(task_ids, wait=min(10, max(1, int(end - time.monotonic()))))
            except (httpx.TransportError, AssertionError) as error:
                last = error
                time.sleep(0.2)
                continue
            if answer["all_final"]:
                return list(answer["tasks"])
            last = Counter(task["state"] for task in answer["tasks"])
            waiting = [task for task in answer["tasks"] if task["state"] not in FINAL]
            telling = waiting[:3] + [task for task in answer["tasks"] if task.get("error")][:3]
        raise AssertionError(f"{len(task_ids)} tasks are not final after {seconds:g} s: {last}, e.g. {telling}")

    def done(self, task_ids: Sequence[str], *, seconds: float = 60.0) -> list[Json]:
        """Wait until all tasks are final and check that all are DONE; return the records in order."""
        records = self.wait_final(task_ids, seconds=seconds)
        wrong = [(task["task_id"], task["state"], task.get("error")) for task in records if task["state"] != "DONE"]
        assert not wrong, f"{len(wrong)} of {len(records)} not DONE: {wrong[:5]}"
        return records

    @contextmanager
    def events(self, task_id: str, *, after: str | None = None) -> Iterator[Iterator[Event]]:
        """Open the task's event stream; `after` is the id of the last event seen."""
        headers = {} if after is None else {"Last-Event-ID": after}
        with self.http.stream("GET", f"/api/v1/tasks/{task_id}/events", headers=headers) as answer:
            assert answer.status_code == 200, answer.status_code
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield server_sent(answer.iter_lines())
