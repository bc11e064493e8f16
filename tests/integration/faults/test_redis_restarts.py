"""Redis goes away and comes back: what was accepted is done, and requests meanwhile are refused in good time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(apis=2)
BOUND = 20.0  # seconds within which every request is answered, even when Redis hangs


def refused(client: Client, ledger: Ledger, task_id: str) -> dict[str, httpx.Response]:
    """Send one request of each kind at the same time; each must be answered within the bound."""
    parameters = {"ledger": str(ledger), "n": 999}
    calls: dict[str, Callable[[], httpx.Response]] = {
        "post": lambda: client.post("counted", parameters),
        "post and wait": lambda: client.post("counted", parameters, wait=5),
        "batch": lambda: client.http.post("/api/v1/computations/counted/batches", json={"parameters": [parameters]}),
        "query": lambda: client.http.post("/api/v1/tasks/query", json={"task_ids": [task_id]}),
        "record": lambda: client.http.get(f"/api/v1/tasks/{task_id}"),
        "result": lambda: client.http.get(f"/api/v1/tasks/{task_id}/result"),
        "events": lambda: client.http.get(f"/api/v1/tasks/{task_id}/events"),
        "cancel": lambda: client.http.delete(f"/api/v1/tasks/{task_id}"),
        "list": lambda: client.http.get("/api/v1/tasks"),
        "readyz": lambda: client.http.get("/readyz"),
    }
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = {name: pool.submit(call) for name, call in calls.items()}
        return {name: future.result() for name, future in futures.items()}


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_nothing_accepted_is_lost_and_requests_are_refused_meanwhile(stack: Stack, ledger: Ledger, outage: str) -> None:
    client = stack.client(timeout=BOUND)
    before = client.submit("counted", {"ledger": str(ledger), "n": 500})
    client.done([before])
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": 0.25} for n in range(40)])
    eventually(lambda: len(ledger.marks("end")) >= 5, "some are done, some run, others wait")

    if outage == "killed":
        stack.valkey.kill()
    else:
        stack.valkey.signal(signal.SIGSTOP)
    try:
        answers = refused(client, ledger, before)
        assert client.http.get("/livez").status_code == 200
        time.sleep(1)
    finally:
        if outage == "killed":
            stack.valkey.start()
        else:
            stack.valkey.signal(signal.SIGCONT)
    wrong = {
        name: (answer.status_code, answer.text[:300]) for name, answer in answers.items() if answer.status_code != 503
    }
    assert not wrong
    for name, answer in answers.items():
        assert 1 <= int(answer.headers["Retry-After"]) <= 60, name
        if name != "readyz":
            assert answer.headers["content-type"].startswith("application/problem+json"), name
            assert answer.json()["status"] == 503

    records = client.done([before, *ids], seconds=90)
    assert {record["attempts"] for record in records} <= {1, 2}
    assert set(range(40)) <= set(ledger.counts())
    assert client.value(before) == 500
    stack.wait_ready()
    late = client.submit("counted", {"ledger": str(ledger), "n": 600})
    client.done([late])
