"""Tasks past their timeout, and the processes that still run them."""

from __future__ import annotations

import time

from services.compute.models import State
from tests.harness.ledger import Ledger
from tests.harness.process import alive
from tests.harness.waiting import eventually
from tests.integration.worker.conftest import Start


def test_sleeping_code_is_failed_at_its_deadline_and_its_process_replaced_after_its_other_work(
    start: Start, ledger: Ledger
) -> None:
    direct = start()
    other = direct.submit("counted", {"ledger": str(ledger), "n": 2, "seconds": 8.0})
    eventually(ledger.counts, "the other one runs")
    late = direct.submit("sleeper", {"ledger": str(ledger), "n": 1, "seconds": 60.0})
    eventually(lambda: 1 in ledger.counts(), "it runs")
    began = next(mark.at for mark in ledger.marks("begin") if mark.n == 1)
    (record,) = direct.final(late)
    assert time.monotonic() - began < 1.0 + 2.0
    assert record.state is State.FAILED
    assert b"timeout" in (record.error or b"")
    (pid,) = ledger.pids()
    assert direct.final(other)[0].state is State.DONE
    assert ledger.counts("end") == {2: 1}
    eventually(lambda: not alive(pid), "its process is gone", seconds=20)
    ids = direct.submit("counted", {"ledger": str(ledger), "n": 3})
    assert direct.final(ids)[0].state is State.DONE
    assert len(ledger.pids()) == 2


def test_code_that_holds_the_gil_is_killed(start: Start, ledger: Ledger) -> None:
    direct = start()
    ids = direct.submit("holder", {"ledger": str(ledger), "n": 1, "seconds": 30})
    eventually(ledger.counts, "it runs")
    began = ledger.marks("begin")[0].at
    (pid,) = ledger.pids()
    eventually(lambda: not alive(pid), "its process is killed", seconds=10)
    assert 1.9 < time.monotonic() - began < 6
    # Nobody ends the record here: that is the reconciler's, or the next start's.
    direct.stack.wait_workers(1)
    assert len(ids) == 1


def test_children_that_run_on_for_a_plan_past_its_timeout_cost_the_process(start: Start, ledger: Ledger) -> None:
    direct = start()
    ids = direct.submit("late_plan", *[{"ledger": str(ledger), "n": n} for n in (1, 2)])
    records = direct.final(ids, seconds=15)
    assert [record.state for record in records] == [State.FAILED] * 2
    assert all(b"timeout" in (record.error or b"") for record in records)
    assert all((record.finished_ms or 0) - (record.started_ms or 0) < 3000 for record in records)
    (pid,) = ledger.pids()
    began = time.monotonic()
    other = direct.submit("counted", {"ledger": str(ledger), "n": 3})
    assert direct.final(other, seconds=20)[0].state is State.DONE
    assert time.monotonic() - began < 15
    assert ledger.pids(3) != [pid]
    assert not alive(pid)
    assert not ledger.counts("end")[1]


def test_children_of_a_fan_out_past_its_timeout_cost_every_process_that_they_run_in(
    start: Start, ledger: Ledger
) -> None:
    direct = start(workers=2)
    ids = direct.submit("late_fan", {"ledger": str(ledger), "n": 10, "width": 4})
    (record,) = direct.final(ids, seconds=15)
    assert record.state is State.FAILED
    before = ledger.pids()
    assert len(before) == 2
    eventually(lambda: not any(alive(pid) for pid in before), "both processes are gone", seconds=20)
    other = direct.submit("counted", {"ledger": str(ledger), "n": 3})
    assert direct.final(other, seconds=20)[0].state is State.DONE


def test_short_children_of_an_ended_parent_cost_no_process(start: Start, ledger: Ledger) -> None:
    direct = start()
    ids = direct.submit("late_plan", {"ledger": str(ledger), "n": 1, "seconds": 2.2})
    assert direct.final(ids, seconds=15)[0].state is State.FAILED
    eventually(lambda: ledger.counts("end")[1], "the child ends by itself")
    time.sleep(2)
    other = direct.submit("counted", {"ledger": str(ledger), "n": 3})
    assert direct.final(other, seconds=20)[0].state is State.DONE
    assert ledger.pids(3) == ledger.pids(1)


def test_a_collection_is_computed_on_the_cluster_without_holding_a_thread(start: Start, ledger: Ledger) -> None:
    direct = start(threads=1)
    ids = direct.submit("delayed_sum", {"ledger": str(ledger), "n": 10})
    (record,) = direct.final(ids)
    assert record.result == b"285"
    assert ledger.counts() == dict.fromkeys(range(10), 1)
