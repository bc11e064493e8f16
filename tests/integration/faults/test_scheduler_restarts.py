"""Schedulers come and go: workers rejoin, work goes on by itself, nobody is charged an attempt."""

from __future__ import annotations

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

stack = module_stack(workers=2)


def begin_work(client: Client, ledger: Ledger, tasks: int, seconds: float) -> list[str]:
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": seconds} for n in range(tasks)])
    eventually(lambda: len(ledger.marks("end")) >= 4, "some have run, some run, others wait")
    return ids


def check(stack: Stack, client: Client, ledger: Ledger, ids: list[str]) -> None:
    """All DONE at the first attempt; only what ran when a scheduler died may have run twice; no worker was replaced."""
    before = set(ledger.pids())
    records = client.done(ids, seconds=90)
    runs = ledger.counts()
    assert len(runs) == len(ids)
    assert {record["attempts"] for record in records} == {1}
    assert set(ledger.pids()) <= before | {pid for worker in stack.workers for pid in worker.children()}
    stack.wait_workers(2)


def test_a_scheduler_killed_and_started_on_the_same_address(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    workers = {pid for worker in stack.workers for pid in worker.children()}
    ids = begin_work(client, ledger, 40, 0.3)
    stack.restart_scheduler()
    check(stack, client, ledger, ids)
    assert {pid for worker in stack.workers for pid in worker.children()} == workers
    assert sum(ledger.counts().values()) <= len(ids) + 4  # two machines of two threads


def test_a_scheduler_killed_and_started_on_another_address(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    ids = begin_work(client, ledger, 40, 0.3)
    stack.restart_scheduler(port=stack.scheduler_ports[1])
    check(stack, client, ledger, ids)
    stack.restart_scheduler(port=stack.scheduler_ports[0])
    stack.wait_workers(2)


def test_four_restarts_in_a_row_fail_nothing(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    (long,) = client.batch("stepped", [{"ledger": str(ledger), "n": 1000, "steps": 60, "seconds": 0.25}])
    eventually(lambda: 1000 in ledger.counts(), "the long task runs")
    ids = begin_work(client, ledger, 80, 0.4)
    for restart in range(4):
        seen = len(ledger.marks("end"))
        stack.restart_scheduler()
        stack.wait_workers(2)
        eventually(lambda seen=seen: len(ledger.marks("end")) >= seen + 4, f"work went on after restart {restart}")  # type: ignore[misc]
    check(stack, client, ledger, [*ids, long])


def test_a_task_accepted_while_no_scheduler_is_there_runs_when_one_comes(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    stack.scheduler.kill()
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n} for n in range(20)])
    ids.append(client.submit("counted", {"ledger": str(ledger), "n": 20}))
    assert stack.apis[0].ready(), "readiness asks Redis only"
    stack.scheduler.start()
    records = client.done(ids, seconds=60)
    assert {record["attempts"] for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(21), 1)
