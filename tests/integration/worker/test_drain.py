"""SIGTERM of workers: each task that runs there runs exactly once."""

from __future__ import annotations

import signal

from services.compute.models import State
from tests.harness.ledger import Ledger
from tests.harness.waiting import eventually
from tests.integration.worker.conftest import Start


def test_a_parent_and_a_plain_task_end_where_they_run(start: Start, ledger: Ledger) -> None:
    direct = start(workers=2)
    (parent,) = direct.submit("fan_out", {"ledger": str(ledger), "n": 100, "width": 8, "seconds": 0.7})
    eventually(lambda: len(ledger.counts()) >= 2, "the parent has put children to work")
    home = ledger.pids(100)[0]
    plain = direct.submit("counted", *[{"ledger": str(ledger), "n": n, "seconds": 1.5} for n in range(6)])
    eventually(lambda: any(mark.n < 6 and mark.pid == home for mark in ledger.marks("begin")), "one runs beside it")
    machine = next(each for each in direct.stack.workers if home in each.children())
    assert machine.terminate(40) == 0
    assert {mark.n for mark in ledger.marks("begin") if mark.pid == home} <= {
        mark.n for mark in ledger.marks("end") if mark.pid == home
    }
    records = direct.final([parent, *plain])
    assert {record.state for record in records} == {State.DONE}
    assert {record.attempts for record in records} == {1}
    assert ledger.counts() == ledger.counts("end") == dict.fromkeys([*range(6), *range(100, 109)], 1)


def test_children_of_the_only_workers_parent_run_where_the_next_worker_is(start: Start, ledger: Ledger) -> None:
    direct = start({"WORKER_GRACE": "60"})
    (parent,) = direct.submit("fan_out", {"ledger": str(ledger), "n": 100, "width": 8, "seconds": 0.7})
    eventually(lambda: len(ledger.counts()) >= 3, "the parent has put children to work")
    machine = direct.stack.workers[0]
    machine.signal(signal.SIGTERM)
    direct.stack.add_worker()
    assert machine.wait(60) == 0
    (record,) = direct.final([parent])
    assert (record.state, record.attempts) == (State.DONE, 1)
    assert ledger.counts() == ledger.counts("end") == dict.fromkeys(range(100, 109), 1)


def test_the_only_worker_ends_what_it_runs_and_the_rest_waits_for_the_next(start: Start, ledger: Ledger) -> None:
    direct = start()
    ids = direct.submit("counted", *[{"ledger": str(ledger), "n": n, "seconds": 1.5} for n in range(6)])
    eventually(lambda: len(ledger.marks("begin")) == 2, "two run")
    assert direct.stack.workers[0].terminate(30) == 0
    assert ledger.counts() == ledger.counts("end")
    assert sorted(direct.states(ids)) == [State.DONE] * 2 + [State.PENDING] * 4
    direct.stack.add_worker()
    records = direct.final(ids)
    assert {record.attempts for record in records} == {1}
    assert ledger.counts() == dict.fromkeys(range(6), 1)


def test_what_outlasts_the_grace_goes_back_uncharged(start: Start, ledger: Ledger) -> None:
    direct = start({"WORKER_GRACE": "1"})
    ids = direct.submit("counted", {"ledger": str(ledger), "n": 1, "seconds": 20.0})
    eventually(ledger.counts, "it runs")
    assert direct.stack.workers[0].terminate(15) == 0
    (record,) = direct.records(ids)
    assert (record.state, record.attempts) == (State.PENDING, 0)
    assert direct.store.depth().waiting == 1
