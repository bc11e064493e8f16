"""No task depends on an API process: what is queued is sent by the next one, what is in Dask runs exactly once."""

from __future__ import annotations

import time

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(environment={"IN_FLIGHT_MAX": "40"})
TASKS = 300


def test_sigkill_of_the_api_five_times_with_a_queue(stack: Stack, ledger: Ledger) -> None:
    api = stack.apis[0]
    sets = [{"ledger": str(ledger), "n": n, "seconds": 0.05} for n in range(TASKS)]
    ids = stack.client().batch("counted", sets)
    for kill in range(5):
        seen = len(ledger.marks("end"))
        eventually(lambda seen=seen: len(ledger.marks("end")) >= min(seen + 15, TASKS), f"work before kill {kill}")  # type: ignore[misc]
        api.kill()
        time.sleep(0.3)
        api.start()
        stack.wait_ready()
    records = stack.client().done(ids, seconds=120)
    assert {record["attempts"] for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(TASKS), 1)


def test_sigkill_right_after_the_answer_loses_nothing(stack: Stack, ledger: Ledger) -> None:
    api = stack.apis[0]
    sets = [{"ledger": str(ledger), "n": n, "seconds": 0.02} for n in range(100)]
    ids = stack.client().batch("counted", sets)
    api.kill()
    api.start()
    stack.wait_ready()
    records = stack.client().done(ids, seconds=60)
    assert {record["attempts"] for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(100), 1)
