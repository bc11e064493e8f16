"""SIGTERM of a worker: what runs there ends there, what waits there runs elsewhere, each exactly once."""

from __future__ import annotations

import signal

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import Managed
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

pair = module_stack(workers=2, environment={"WORKER_GRACE": "40"})
sole = module_stack(workers=1, environment={"WORKER_GRACE": "40"})
PARENT = 1000


def open_tasks(ledger: Ledger, pid: int) -> set[int]:
    """Return what has begun in this process and not ended."""
    ended = {mark.n for mark in ledger.marks("end")}
    return {mark.n for mark in ledger.marks("begin") if mark.pid == pid} - ended


def machine_of(stack: Stack, pid: int) -> Managed:
    return next(worker for worker in stack.workers if worker.running and pid in worker.children())


def test_a_worker_that_runs_a_parent_drains_while_its_children_run_elsewhere(pair: Stack, ledger: Ledger) -> None:
    client = pair.client()
    parent = client.submit("fan_out", {"ledger": str(ledger), "n": PARENT, "width": 10, "seconds": 1.0})
    eventually(lambda: len(ledger.counts()) >= 3, "the parent has put children to work")
    pid = next(mark.pid for mark in ledger.marks("begin") if mark.n == PARENT)
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": 1.5} for n in range(8)])
    eventually(lambda: open_tasks(ledger, pid) & set(range(8)), "a plain task runs beside the parent")

    machine = machine_of(pair, pid)
    running = open_tasks(ledger, pid)
    assert PARENT in running
    assert machine.terminate(45) == 0
    ended_there = {mark.n for mark in ledger.marks("end") if mark.pid == pid}
    assert running <= ended_there, "what ran when the signal came ended in that process"

    records = client.done([parent, *ids], seconds=60)
    assert {record["attempts"] for record in records} == {1}
    assert client.value(parent) == sum(range(PARENT + 1, PARENT + 11))
    everything = [*range(8), *range(PARENT, PARENT + 11)]
    assert ledger.counts() == dict.fromkeys(everything, 1)
    assert ledger.counts("end") == dict.fromkeys(everything, 1)


def test_the_only_worker_drains_and_the_next_one_does_the_rest(sole: Stack, ledger: Ledger) -> None:
    client = sole.client()
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": 1.5} for n in range(8)])
    eventually(lambda: len(ledger.marks("begin")) >= 2, "two run")
    machine = sole.workers[-1]
    running = open_tasks(ledger, ledger.pids()[0])
    assert machine.terminate(45) == 0
    assert set(ledger.counts("end")) >= running
    assert ledger.counts("end") == ledger.counts("begin"), "it took nothing that it did not end"
    assert len(ledger.counts()) < 8, "the rest waits"
    assert all(task["state"] in ("DONE", "PENDING") for task in client.query(ids)["tasks"])

    sole.add_worker()
    records = client.done(ids, seconds=60)
    assert {record["attempts"] for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(8), 1)


def test_a_task_that_outlasts_the_grace_runs_again_uncharged(sole: Stack, ledger: Ledger) -> None:
    client = sole.client()
    first = sole.add_worker(environment={"WORKER_GRACE": "1"})
    sole.wait_workers(2)
    others = [worker for worker in sole.workers if worker.running and worker is not first]
    for worker in others:
        worker.signal(signal.SIGTERM)
    for worker in others:
        worker.wait(30)
    sole.wait_workers(1)
    task_id = client.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 6.0})
    eventually(lambda: ledger.counts(), "it runs")
    first.terminate(20)
    sole.add_worker()
    (record,) = client.done([task_id], seconds=60)
    assert record["attempts"] == 1
    assert ledger.counts() == {1: 2}
