"""Cancelling: queued, running, inside a bundle, and when it is too late."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(threads=1)


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """Return a client; afterwards the only thread is free again, so that tests do not meet."""
    client = stack.client()
    yield client
    answer = client.post("process_id", {}, wait=20, headers={"Cache-Control": "no-cache"})
    assert answer.status_code == 200, "the worker's thread is still busy"


def test_a_queued_task_never_runs(client: Client, ledger: Ledger) -> None:
    blocker = client.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 2.0})
    eventually(lambda: ledger.counts(), "the only thread is busy")
    queued = client.submit("counted", {"ledger": str(ledger), "n": 2})
    record = client.cancel(queued)
    assert record["state"] == "CANCELLED"
    assert record["finished_at"] is not None
    assert client.result(queued).status_code == 410
    client.done([blocker])
    after = client.submit("counted", {"ledger": str(ledger), "n": 3})
    client.done([after])
    assert ledger.counts() == {1: 1, 3: 1}
    assert client.get(queued)["state"] == "CANCELLED"
    assert client.get(queued)["attempts"] == 0


def test_a_running_task_stops_at_its_next_report(client: Client, ledger: Ledger) -> None:
    task_id = client.submit("stepped", {"ledger": str(ledger), "n": 1, "steps": 300, "seconds": 0.1})
    eventually(lambda: client.get(task_id)["progress"], "it reports")
    assert client.cancel(task_id)["state"] == "CANCELLED"
    begun = time.monotonic()
    answer = client.post("counted", {"ledger": str(ledger), "n": 2}, wait=10)
    assert answer.status_code == 200, "its thread is free for the next task"
    assert time.monotonic() - begun < 5
    assert ledger.counts("end") == {2: 1}
    record = client.get(task_id)
    assert (record["state"], record["attempts"]) == ("CANCELLED", 1)
    assert client.result(task_id).status_code == 410


def teach(client: Client, ledger: Ledger) -> None:
    """Let the dispatcher learn that `mate` is short, so that the next batch travels as one bundle."""
    client.done(client.batch("mate", [{"ledger": str(ledger), "n": n} for n in range(100, 160)]))


def test_cancel_of_the_running_member_of_a_bundle_lets_its_mates_finish(client: Client, ledger: Ledger) -> None:
    teach(client, ledger)
    sets = [{"ledger": str(ledger), "n": n, "mode": "hold" if n == 5 else "work"} for n in range(12)]
    ids = client.batch("mate", sets)
    eventually(lambda: 5 in ledger.counts(), "the member that holds up the bundle runs")
    assert client.cancel(ids[5])["state"] == "CANCELLED"
    mates = [task_id for n, task_id in enumerate(ids) if n != 5]
    records = client.done(mates, seconds=15)
    assert {record["attempts"] for record in records} == {1}
    assert ledger.counts("end")[5] == 0
    assert all(ledger.counts()[n] == 1 for n in range(12))


def test_cancel_of_a_waiting_member_of_a_bundle_lets_its_mates_finish(client: Client, ledger: Ledger) -> None:
    teach(client, ledger)
    sets = [{"ledger": str(ledger), "n": n, "mode": "hold" if n == 0 else "work"} for n in range(12)]
    ids = client.batch("mate", sets)
    eventually(lambda: 0 in ledger.counts(), "the first member holds up the bundle")
    assert client.cancel(ids[8])["state"] == "CANCELLED"
    time.sleep(1.0)
    client.cancel(ids[0])
    client.done([task_id for n, task_id in enumerate(ids) if n not in (0, 8)], seconds=15)
    assert 8 not in ledger.counts()
    assert all(ledger.counts()[n] == 1 for n in range(12) if n != 8)


def test_a_member_that_holds_up_its_bundle_does_not_hold_up_its_mates(
    client: Client, ledger: Ledger, stack: Stack
) -> None:
    second = stack.add_worker(threads=1)
    stack.wait_workers(2)
    teach(client, ledger)
    sets = [{"ledger": str(ledger), "n": n, "mode": "hold" if n == 0 else "work"} for n in range(12)]
    ids = client.batch("mate", sets)
    client.done(ids[1:], seconds=15)
    assert client.get(ids[0])["state"] == "RUNNING"
    client.cancel(ids[0])
    second.terminate()
    stack.wait_workers(1)


def test_cancel_of_a_done_task_changes_nothing(client: Client, ledger: Ledger) -> None:
    task_id = client.submit("counted", {"ledger": str(ledger), "n": 1})
    (before,) = client.done([task_id])
    assert client.cancel(task_id) == before
    assert client.get(task_id) == before
    assert client.value(task_id) == 1
    again = client.post("counted", {"ledger": str(ledger), "n": 1})
    assert again.status_code == 200
    assert ledger.counts() == {1: 1}


def test_cancel_of_an_unknown_task_is_404(client: Client) -> None:
    answer = client.http.delete(f"/api/v1/tasks/counted-{'0' * 32}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
