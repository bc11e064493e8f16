"""A task that kills its process each time takes nobody with it."""

from __future__ import annotations

import pytest

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack

stack = module_stack(threads=1)
KILLER = 6


def lost(stack: Stack) -> int:
    """How many worker processes have ended so far, by what their supervisors logged."""
    return sum(worker.log.read_text(errors="replace").count("worker process ended") for worker in stack.workers)


@pytest.mark.parametrize(("name", "attempts"), [("mate", 3), ("mate_once", 1)])
def test_a_killer_fails_after_its_attempts_and_its_bundle_mates_are_done(
    stack: Stack, ledger: Ledger, name: str, attempts: int
) -> None:
    client = stack.client()
    taught = client.batch(name, [{"ledger": str(ledger), "n": n} for n in range(100, 200)])
    client.done(taught)

    before = lost(stack)
    sets = [{"ledger": str(ledger), "n": n, "mode": "kill" if n == KILLER else "work"} for n in range(16)]
    records = client.wait_final(client.batch(name, sets), seconds=90)
    stack.wait_workers(1)

    killer = records.pop(KILLER)
    assert killer["state"] == "FAILED"
    assert killer["attempts"] == attempts
    assert killer["error"]["type"] == "worker_lost"
    assert "worker" in killer["error"]["message"]
    assert [record["state"] for record in records] == ["DONE"] * 15
    begun_first = [mark.n for mark in ledger.marks("begin") if mark.pid == ledger.pids(KILLER)[0] and mark.n < 16]
    assert len(begun_first) > 1, "it travelled in a bundle"
    # The first time it may have begun among others; that is free, and then it travels alone.
    assert attempts <= ledger.counts()[KILLER] <= attempts + 1
    assert len(ledger.pids(KILLER)) == lost(stack) - before <= attempts + 1
    # Those behind it had not begun: none of them has paid.
    assert [record["attempts"] for record in records[KILLER:]] == [1] * 9

    problem = client.result(killer["task_id"])
    assert problem.status_code == 409
    assert "worker" in problem.json()["detail"]
    client.done([client.submit(name, {"ledger": str(ledger), "n": 300})])
