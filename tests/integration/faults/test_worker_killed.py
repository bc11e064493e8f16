"""A worker that is killed costs at most one more run for each task that it had begun and not yet recorded.

All workers are stopped while their records are compared with the ledger, which says whose code had begun.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

import pytest
import redis

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.process import kill
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

THREADS = 2
SLICE_S = 0.02
stack = module_stack(workers=2, threads=THREADS)


@dataclass
class Frozen:
    """What was on record while no worker moved.

    Attributes:
        states: of all tasks.
        begun: tasks whose code had begun, by process.
        alone: tasks that were started without others, as all are while the machine is too slow for slices of several.
    """

    states: list[str]
    begun: dict[int, set[int]]
    alone: set[int]

    @property
    def ahead(self) -> set[int]:
        """Tasks that are RUNNING by their record and had not begun."""
        running = {n for n, state in enumerate(self.states) if state == "RUNNING"}
        return running - set().union(*self.begun.values())


def freeze(stack: Stack, client: Client, ids: list[str], ledger: Ledger, pids: list[int]) -> Frozen:
    """Stop the processes and look; they stay stopped."""
    for pid in pids:
        kill(pid, signal.SIGSTOP)
    time.sleep(0.3)  # what they had sent is stored by then
    begun: dict[int, set[int]] = {pid: set() for pid in pids}
    for mark in ledger.marks("begin"):
        begun[mark.pid].add(mark.n)
    states = [task["state"] for task in client.query(ids)["tasks"]]
    with redis.Redis.from_url(stack.environment["REDIS_URL"]) as server:
        running = [n for n, state in enumerate(states) if state == "RUNNING"]
        key = f"{{{stack.environment['REDIS_PREFIX']}}}:t:"
        alone = {n for n in running if server.hget(f"{key}{ids[n]}", "mates") == b"1"}
    return Frozen(states, begun, alone)


@pytest.mark.parametrize(
    ("tasks", "seconds", "victim"), [(200, 0.05, "process"), (200, 0.05, "machine"), (6000, 0.001, "process")]
)
def test_sigkill_of_a_worker_in_the_middle(
    stack: Stack, ledger: Ledger, tasks: int, seconds: float, victim: str
) -> None:
    client = stack.client()
    alone = seconds > SLICE_S  # such tasks start one by one
    taught = client.batch("counted", [{"ledger": str(ledger), "n": -n, "seconds": seconds} for n in range(1, 40)])
    client.done(taught)
    ids = client.batch("counted", [{"ledger": str(ledger), "n": n, "seconds": seconds} for n in range(tasks)])
    eventually(lambda: len([1 for mark in ledger.marks("end") if mark.n >= 0]) >= 30, "they are at work")
    pids = ledger.pids()
    assert len(pids) == 2

    for look in range(30):
        frozen = freeze(stack, client, ids, ledger, pids)
        assert len(frozen.ahead) <= 2 * THREADS * max(1, SLICE_S / seconds), "few are started before they can begin"
        # Who is started alone pays for a lost worker, begun or not: no such start may be on its way.
        if look >= 4 and not frozen.ahead & frozen.alone:
            break
        for pid in pids:
            kill(pid, signal.SIGCONT)
        time.sleep(0.07)
    assert frozen.states.count("PENDING") > tasks / 10, "it is in the middle"

    pid = pids[0]
    begun = {n for n in frozen.begun[pid] if n >= 0}
    unrecorded = {n for n in begun if frozen.states[n] == "RUNNING"}
    assert {frozen.states[n] for n in begun} <= {"RUNNING", "DONE"}
    if victim == "machine":
        next(worker for worker in stack.workers if worker.running and pid in worker.children()).kill_tree()
        stack.add_worker(threads=THREADS)
    else:
        kill(pid)
    kill(pids[1], signal.SIGCONT)

    records = client.done(ids, seconds=120)
    runs = {n: count for n, count in ledger.counts().items() if n >= 0}
    assert set(runs) == set(range(tasks))
    assert {n for n, count in runs.items() if count > 1} <= unrecorded
    assert max(runs.values()) <= 2
    charged = {n for n, record in enumerate(records) if record["attempts"] != 1}
    assert charged <= unrecorded | frozen.ahead & frozen.alone, "who had not begun has not paid"
    assert not alone or charged == unrecorded
    assert all(records[n]["attempts"] == 2 for n in charged)
    stack.wait_workers(2)
