"""A task that kills its process each time takes nobody with it."""

from __future__ import annotations

import threading

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack

stack = module_stack(threads=1)
ATTEMPTS = 3  # of the computation `mate`


def test_a_killer_fails_after_its_attempts_and_its_bundle_mates_are_done(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    taught = client.batch("mate", [{"ledger": str(ledger), "n": n} for n in range(100, 200)])
    client.done(taught)

    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            seen.update(pid for worker in stack.workers for pid in worker.children())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sets = [{"ledger": str(ledger), "n": n, "mode": "kill" if n == 6 else "work"} for n in range(16)]
        ids = client.batch("mate", sets)
        records = client.wait_final(ids, seconds=90)
    finally:
        stop.set()
        watcher.join()

    killer = records.pop(6)
    assert killer["state"] == "FAILED"
    assert killer["attempts"] == ATTEMPTS
    assert killer["error"]["type"] == "worker_lost"
    assert "worker" in killer["error"]["message"]
    assert [record["state"] for record in records] == ["DONE"] * 15
    assert ledger.counts()[6] == ATTEMPTS
    begun_first = [mark.n for mark in ledger.marks("begin") if mark.pid == ledger.pids(6)[0] and mark.n < 16]
    assert len(begun_first) > 1, "it travelled in a bundle"
    assert len(ledger.pids(6)) <= ATTEMPTS + 1
    # Members start in slices of 20 ms: those of the killer's slice are charged, later ones are not.
    assert all(record["attempts"] <= 2 for record in records)
    assert [record["attempts"] for record in records[-4:]] == [1] * 4
    assert len(seen) <= 2 * (ATTEMPTS + 2), "worker processes (and what they start beside) were not burnt through"

    problem = client.result(killer["task_id"])
    assert problem.status_code == 409
    assert "worker" in problem.json()["detail"]
    stack.wait_workers(1)
    client.done([client.submit("mate", {"ledger": str(ledger), "n": 300})])
