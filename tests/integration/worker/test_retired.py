"""A worker that the scheduler has retired: what was on its way there meanwhile must run somewhere else."""

from __future__ import annotations

from tests.harness.ledger import Ledger
from tests.harness.waiting import eventually
from tests.integration.worker.conftest import Start


def test_what_was_sent_before_the_retirement_and_has_not_begun_runs_elsewhere(start: Start, ledger: Ledger) -> None:
    direct = start(threads=1)
    ids = direct.submit("counted", *[{"ledger": str(ledger), "n": n, "seconds": 4.0 * (n == 0)} for n in range(4)])
    eventually(ledger.counts, "the first one runs")
    (retired,) = direct.stack.wait_workers(1)
    # Under the scheduler's saturation of 1.1 one more task has been sent to it, and waits behind the first.
    eventually(lambda: len(direct.client.processing()[retired]) == 2, "another one waits there")
    assert list(direct.client.retire_workers([retired], close_workers=False, remove=False)) == [retired]
    assert not direct.final(ids[:1])[0].error
    # Dask's stealing takes nothing from a worker with a single task: it would wait there for ever.
    direct.stack.add_worker(threads=1)
    assert {record.attempts for record in direct.final(ids, seconds=30)} == {1}
