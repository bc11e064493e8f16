"""The runner of one worker process: its collaborators, what it runs, and the two threads that keep watch.

The watch thread never does I/O, so that deadlines hold while Redis is away; the flusher thread does it for everybody
who cannot wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from services.compute.errors import StoreUnavailable
from services.compute.models import State
from services.compute.runner.bundle import FLUSH_AGE_S
from services.compute.runner.deadlines import Deadlines
from services.compute.runner.outbox import Outbox, Return
from services.compute.runner.outcomes import Limits, Objects, Outcomes
from services.compute.store.types import Charge, Finished, Handback

if TYPE_CHECKING:
    from services.compute.registry import Computation
    from services.compute.runner.attempt import Attempt
    from services.compute.runner.bundle import BundleRun
    from services.compute.store import Store

TICK_S = 0.05

log = structlog.get_logger(__name__)


class RunnerContext:
    """What `run_bundle` works with; one for each worker process, from its start to its end.

    Args:
        store: the process's own connection to Redis.
        registry: the computations that it can run, by name.
        objects: where large results go; None for nowhere.
        worker: the worker's name.
        run: id of this start of the process, 16 hex digits.
        limits: sizes of results.
        deadlines: where running deadlines are shown to the supervisor.
        on_overdue: called, from the watch thread, when code runs on past its deadline: the process should be replaced.
        scheduler_lost: whether the calling thread's Dask worker has lost its scheduler.
        check_after_ms: when the reconciler looks at a started task, at the latest.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        registry: Mapping[str, Computation],
        objects: Objects | None = None,
        *,
        worker: str,
        run: str,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
        on_overdue: Callable[[], None] = lambda: None,
        scheduler_lost: Callable[[], bool] = lambda: False,
        check_after_ms: int = 5000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.registry = registry
        self.objects = objects
        self.worker = worker
        self.run = run
        self.deadlines = deadlines or Deadlines()
        self.on_overdue = on_overdue
        self.check_after_ms = check_after_ms
        self.clock = clock
        self.outcomes = Outcomes(objects, limits or Limits(), scheduler_lost)
        self.outbox = Outbox(store, refused=self._refused, clock=clock)
        self.bundles: dict[str, BundleRun] = {}
        self.learned: dict[str, float] = {}
        self.draining = False
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(self._watch,), name="tidegate-watch", daemon=True),
            threading.Thread(target=self._loop, args=(self._flush,), name="tidegate-flush", daemon=True),
        ]

    def start(self) -> None:
        """Begin to keep watch."""
        for thread in self._threads:
            thread.start()

    def close(self, until: float) -> None:
        """Store what there still is, until `until` (clock seconds) at the latest, and end the threads."""
        self.outbox.end_by(until)
        self.outbox.flush()
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, min(1.0, until - self.clock())))

    def drain(self) -> None:
        """From now on start no bundle; those that come go back into the queue."""
        self.draining = True

    def running(self) -> list[BundleRun]:
        """The bundles at work, without those whose code runs on although its task has ended."""
        return [bundle for bundle in list(self.bundles.values()) if not bundle.abandoned]

    def abandoned(self) -> set[str]:
        """Dask keys of bundles whose code runs on although its task has ended."""
        return {bundle.dispatch for bundle in list(self.bundles.values()) if bundle.abandoned}

    def surrender(self, charge: Charge) -> int:
        """Put everything that still runs back into the queue; how many tasks that was. Call `close` next."""
        return sum(bundle.surrender(charge) for bundle in self.running())

    def give_back(
        self, dispatch: str, computation: Computation | None, task_ids: Sequence[str], charge: Charge, delay_ms: int = 0
    ) -> None:
        """Put tasks of a dispatch back into their queue, with the next flush."""
        self.outbox.give_back(
            Return(
                tuple(Handback(task_id, dispatch) for task_id in task_ids),
                charge,
                delay_ms=delay_ms,
                max_attempts=4 if computation is None else computation.max_attempts,
                result_ttl_ms=86_400_000 if computation is None else int(computation.result_ttl * 1000),
            )
        )

    def holds(self, attempt: Attempt) -> bool:
        """Whether an attempt still holds its task; True when Redis does not answer."""
        try:
            record = self.store.get([attempt.task_id])[0]
        except StoreUnavailable:
            return True
        return record is not None and record.state is State.RUNNING and record.fence == attempt.fence

    def _loop(self, step: Callable[[], None]) -> None:
        while not self._stop.wait(TICK_S):
            try:
                step()
            except Exception:
                log.exception("the runner's watch stumbled; it goes on")

    def _watch(self) -> None:
        now = self.clock()
        for bundle in list(self.bundles.values()):
            bundle.watch(now)

    def _flush(self) -> None:
        for bundle in list(self.bundles.values()):
            if bundle.reporter.due():
                bundle.reporter.write()
        if self.outbox.due(FLUSH_AGE_S):
            self.outbox.flush()

    def _refused(self, outcomes: list[Finished]) -> None:
        """Superseded attempts leave nothing behind in the object store.

        A finish that was repeated, because the first answer got lost, is refused too although the first one counted:
        so the record is asked what it refers to.
        """
        orphans = [each for each in outcomes if each.object is not None]
        if not orphans or self.objects is None:
            return
        records = self.store.get([each.task_id for each in orphans])
        for outcome, record in zip(orphans, records, strict=True):
            if outcome.object is not None and (record is None or record.object != outcome.object):
                self.objects.delete(outcome.object)
