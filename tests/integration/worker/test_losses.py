"""The scheduler, Redis or the supervisor goes away under a worker."""

from __future__ import annotations

import os
import signal
import time

import psutil

from services.autoscaler.scheduler import SchedulerClient
from services.compute.models import State
from services.compute.security import security
from services.compute.settings import SchedulerSettings
from tests.harness.ledger import Ledger
from tests.harness.process import alive
from tests.harness.waiting import eventually
from tests.integration.worker.conftest import Start
from tests.integration.worker.direct import Direct


def pids(direct: Direct) -> set[int]:
    return {pid for worker in direct.stack.workers if worker.running for pid in worker.children() if alive(pid)}


def known_running(direct: Direct) -> list[int]:
    """Tasks on each worker, as the autoscaler sees them."""
    address = f"tcp://127.0.0.1:{direct.stack.scheduler.environment['SCHEDULER_PORT']}"
    scheduler = SchedulerClient((address,), security(SchedulerSettings()), 30.0)
    try:
        return [worker.running for worker in scheduler.look().workers]
    finally:
        scheduler.close()


def test_a_worker_rejoins_the_next_scheduler_while_its_task_goes_on(start: Start, ledger: Ledger) -> None:
    direct = start()
    before = pids(direct)
    ids = direct.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 6.0})
    eventually(ledger.counts, "it runs")
    direct.forget_client()
    runs = [worker["tidegate"]["run"] for worker in direct.stack.wait_workers(1).values()]
    direct.stack.restart_scheduler()
    workers = direct.stack.wait_workers(1)
    assert [worker["tidegate"]["run"] for worker in workers.values()] == runs
    assert known_running(direct) == [1], "the fleet must not think it idle, though the new scheduler knows no task"
    ids += direct.submit("counted", {"ledger": str(ledger), "n": 2, "seconds": 0.1})
    records = direct.final(ids)
    assert [(record.state, record.attempts) for record in records] == [(State.DONE, 1)] * 2
    assert ledger.counts() == {1: 1, 2: 1}
    assert pids(direct) == before
    eventually(lambda: known_running(direct) == [0], "nothing runs any more")


def test_a_worker_finds_the_fallback_address(start: Start, ledger: Ledger) -> None:
    direct = start()
    direct.stack.restart_scheduler(port=direct.stack.scheduler_ports[1])
    direct.stack.wait_workers(1)
    ids = direct.submit("counted", {"ledger": str(ledger), "n": 1})
    assert direct.final(ids)[0].state is State.DONE


def test_a_parent_that_loses_its_scheduler_goes_back_uncharged(start: Start, ledger: Ledger) -> None:
    direct = start()
    (parent,) = direct.submit("fan_out", {"ledger": str(ledger), "n": 100, "width": 20, "seconds": 1.0})
    eventually(lambda: len(ledger.counts()) >= 3, "children run")
    direct.forget_client()
    direct.stack.restart_scheduler()
    eventually(lambda: direct.states([parent]) == [State.PENDING], "the parent goes back", seconds=40)
    assert direct.records([parent])[0].attempts == 0


def test_results_survive_a_restart_of_redis(start: Start, ledger: Ledger) -> None:
    direct = start()
    ids = direct.submit("counted", *[{"ledger": str(ledger), "n": n, "seconds": 2.0} for n in range(2)])
    eventually(lambda: len(ledger.counts()) == 2, "both run")
    direct.stack.valkey.terminate(10)
    eventually(lambda: len(ledger.counts("end")) == 2, "both ended while Redis was away")
    time.sleep(2)
    direct.stack.valkey.start()
    eventually(direct._answers, "Valkey answers")
    records = direct.final(ids)
    assert [(record.state, record.attempts) for record in records] == [(State.DONE, 1)] * 2
    assert ledger.counts() == {0: 1, 1: 1}


def test_a_killed_process_is_replaced_and_its_task_runs_again(start: Start, ledger: Ledger) -> None:
    direct = start(processes=2, threads=1)
    ids = direct.submit("which_run", {"ledger": str(ledger), "n": 1, "first": 30.0, "later": 0.1})
    eventually(ledger.counts, "it runs")
    os.kill(ledger.pids()[0], signal.SIGKILL)

    def again() -> bool:
        direct.dispatch()
        return direct.states(ids) == [State.DONE]

    eventually(again, "it ran again")
    assert direct.records(ids)[0].attempts == 2
    direct.stack.wait_workers(2, seconds=30)


def test_nothing_survives_a_killed_supervisor(start: Start, ledger: Ledger) -> None:
    direct = start(processes=2, threads=1)
    direct.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 60.0})
    eventually(ledger.counts, "it runs")
    children = pids(direct)
    assert len(children) == 2
    direct.stack.workers[0].kill()
    eventually(lambda: not any(alive(pid) for pid in children), "its processes are gone", seconds=10)


def test_without_a_scheduler_the_worker_ends_with_status_1(start: Start) -> None:
    direct = start()
    other = direct.stack.add_worker(
        environment={
            "SCHEDULER_ADDRESS": "tcp://127.0.0.1:9",
            "SCHEDULER_FALLBACK": "",
            "SCHEDULER_WAIT": "1",
        }
    )
    assert other.wait(30) == 1


def test_a_wrong_setting_ends_it_at_once(start: Start) -> None:
    direct = start()
    other = direct.stack.add_worker(environment={"COMPUTE_MODULES": "no.such.module"})
    assert other.wait(30) == 78
    assert "no.such.module" in other.tail()


def test_a_second_signal_kills(start: Start, ledger: Ledger) -> None:
    direct = start({"WORKER_GRACE": "60"})
    direct.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 30.0})
    eventually(ledger.counts, "it runs")
    children = pids(direct)
    machine = direct.stack.workers[0]
    machine.signal(signal.SIGTERM)
    time.sleep(1)
    assert machine.running
    machine.signal(signal.SIGINT)
    assert machine.wait(5) != 0
    assert not any(psutil.pid_exists(pid) for pid in children)
