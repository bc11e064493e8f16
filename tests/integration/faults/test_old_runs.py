"""A POST after CANCELLED or FAILED runs anew, and what the old run still writes is ignored."""

from __future__ import annotations

import signal
import time

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import kill
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(workers=2, threads=1)


def test_post_after_cancelled_while_the_old_run_goes_on(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    parameters = {"ledger": str(ledger), "n": 1, "first": 3.0, "later": 5.0}
    task_id = client.submit("stubborn", parameters)
    eventually(lambda: ledger.counts()[1] == 1, "the first run has begun")
    cancelled = client.cancel(task_id)
    again = client.post("stubborn", parameters)
    assert again.status_code == 202
    assert again.json()["task_id"] == task_id
    assert again.json()["revision"] > cancelled["revision"]
    eventually(lambda: ledger.counts()[1] == 2, "the second run has begun beside the first")
    eventually(lambda: ledger.counts("end")[1] == 1, "the first run has come to its end")
    time.sleep(0.5)
    assert ledger.counts("told")[1] == 1, "its report told it"
    record = client.get(task_id)
    assert (record["state"], record["progress"], record["attempts"]) == ("RUNNING", None, 1)
    client.done([task_id])
    assert client.value(task_id) == 2
    assert client.get(task_id)["progress"] == {"done": 2, "total": 2, "message": "run 2"}


def test_post_after_failed_while_the_old_run_goes_on(stack: Stack, ledger: Ledger) -> None:
    """A whole machine stands still past the deadline, and comes back when the task runs elsewhere."""
    client = stack.client()
    parameters = {"ledger": str(ledger), "n": 1, "first": 1.0, "later": 1.5}
    task_id = client.submit("frozen", parameters)
    eventually(lambda: ledger.counts()[1] == 1, "the first run has begun")
    pid = ledger.pids()[0]
    machine = next(worker for worker in stack.workers if pid in worker.children())
    machine.signal(signal.SIGSTOP)
    kill(pid, signal.SIGSTOP)
    try:
        (failed,) = client.wait_final([task_id], seconds=10)
        assert failed["state"] == "FAILED"
        assert failed["error"]["type"] == "timeout"
        assert client.post("frozen", parameters).status_code == 202
        eventually(lambda: ledger.counts()[1] == 2, "the second run has begun on the other machine")
    finally:
        kill(pid, signal.SIGCONT)
    eventually(lambda: ledger.counts("end")[1] >= 1, "the first run has come to its end")
    machine.signal(signal.SIGCONT)
    (record,) = client.done([task_id])
    assert client.value(task_id) == 2
    assert record["attempts"] == 1
    time.sleep(1.0)
    assert client.get(task_id) == record
    stack.wait_workers(2)


def test_post_after_failed_runs_anew(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    (first,) = client.wait_final([client.submit("loud", {"size": 10})])
    answer = client.post("loud", {"size": 10})
    assert answer.status_code == 202
    assert answer.json()["state"] == "PENDING"
    assert answer.json()["error"] is None
    assert answer.json()["revision"] > first["revision"]
    (second,) = client.wait_final([first["task_id"]])
    assert second["state"] == "FAILED"
    assert second["revision"] > answer.json()["revision"]
