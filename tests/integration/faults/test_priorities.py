"""A batch of 200,000 tasks does not delay a single request."""

from __future__ import annotations

import time

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack()
CHUNK, CALLS = 10_000, 20


def test_a_single_post_is_done_within_a_second_beside_200_000_tasks(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    for n in range(2):  # known computations: what is measured is the way past the batch
        client.done([client.submit("counted", {"ledger": str(ledger), "n": n}), client.submit("ten_ms", {"n": -1 - n})])
    ids: list[str] = []
    for call in range(CALLS):
        ids += client.batch("ten_ms", [{"n": call * CHUNK + n} for n in range(CHUNK)])
    eventually(lambda: client.get(ids[100])["state"] == "DONE", "the batch is at work", seconds=60)

    took = []
    for n in range(10, 20):
        begun = time.monotonic()
        answer = client.post("counted", {"ledger": str(ledger), "n": n}, wait=20)
        took.append(time.monotonic() - begun)
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "DONE"
        time.sleep(0.3)
    assert max(took) < 1.0, [round(seconds, 2) for seconds in took]
    tail = client.query(ids[-CHUNK:])
    assert not tail["all_final"], "the batch was there all the time"
    assert all(task["state"] == "PENDING" for task in tail["tasks"][-100:])
