"""Past its timeout a task is FAILED at once, even when its code never looks up, and its process is replaced."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import alive
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack()
TIMEOUT = 1.0  # of `sleeper` and `holder`


@pytest.mark.parametrize("name", ["sleeper", "holder"])
def test_failed_within_two_seconds_of_the_deadline(stack: Stack, ledger: Ledger, name: str) -> None:
    client = stack.client()
    stack.wait_workers(1)
    beside = [client.submit("counted", {"ledger": str(ledger), "n": 10, "seconds": 0.5})]
    task_id = client.submit(name, {"ledger": str(ledger), "n": 1})
    (record,) = client.wait_final([task_id], seconds=15)
    assert record["state"] == "FAILED"
    assert record["error"]["type"] == "timeout"
    assert "1" in record["error"]["message"]
    assert record["attempts"] == 1
    started, finished = (datetime.fromisoformat(record[key]) for key in ("started_at", "finished_at"))
    assert TIMEOUT <= (finished - started).total_seconds() <= TIMEOUT + 2.0
    assert client.result(task_id).status_code == 409

    (pid,) = ledger.pids(1)
    eventually(lambda: not alive(pid), "the process that still runs it has gone", seconds=15)
    beside.append(client.submit("counted", {"ledger": str(ledger), "n": 20}))
    client.done(beside, seconds=30)
    assert pid not in ledger.pids(20)
    assert ledger.counts("end")[1] == 0
    stack.wait_workers(1)


def test_other_work_of_the_process_ends_before_it_is_replaced(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    stack.wait_workers(1)
    long = client.submit("counted", {"ledger": str(ledger), "n": 10, "seconds": 5.0})
    eventually(lambda: 10 in ledger.counts(), "the long task runs")
    task_id = client.submit("sleeper", {"ledger": str(ledger), "n": 1})
    (failed,) = client.wait_final([task_id], seconds=15)
    assert failed["error"]["type"] == "timeout"
    (record,) = client.done([long])
    assert record["attempts"] == 1
    assert ledger.counts()[10] == 1
    (pid,) = ledger.pids(1)
    assert ledger.pids(10) == [pid]
    eventually(lambda: not alive(pid), "the process has gone", seconds=15)
