"""A worker that is killed costs at most one more run for each task that it had begun and not yet recorded."""

from __future__ import annotations

import signal
import time

import pytest

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import kill
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(workers=2)
TASKS = 200


@pytest.mark.parametrize("victim", ["process", "machine"])
def test_sigkill_of_a_worker_in_the_middle_of_200_tasks(stack: Stack, ledger: Ledger, victim: str) -> None:
    client = stack.client()
    sets = [{"ledger": str(ledger), "n": n, "seconds": 0.05} for n in range(TASKS)]
    ids = client.batch("counted", sets)
    eventually(lambda: len(ledger.marks("end")) >= 30 and len(ledger.pids()) == 2, "both workers are at work")

    pid = ledger.pids()[0]
    kill(pid, signal.SIGSTOP)  # so that what it had begun and recorded can be looked at without haste
    time.sleep(0.3)
    begun = {mark.n for mark in ledger.marks("begin") if mark.pid == pid}
    states = [task["state"] for task in client.query(ids)["tasks"]]
    unrecorded = {n for n in begun if states[n] != "DONE"}
    machine = next(worker for worker in stack.workers if worker.running and pid in worker.children())
    if victim == "machine":
        machine.kill_tree()
        stack.add_worker()
    else:
        kill(pid)

    records = client.done(ids, seconds=90)
    runs = ledger.counts()
    assert set(runs) == set(range(TASKS))
    assert {n for n, count in runs.items() if count > 1} <= unrecorded
    assert sum(runs.values()) <= TASKS + len(unrecorded)
    charged = {n: record["attempts"] for n, record in enumerate(records) if record["attempts"] != 1}
    assert all(attempts == 2 and states[n] == "RUNNING" for n, attempts in charged.items()), charged
    stack.wait_workers(2)
