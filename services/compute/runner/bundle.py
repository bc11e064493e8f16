"""One bundle at work: its members one after the other in one thread, under the eyes of the watch thread.

What both threads touch is guarded by the bundle's lock: which members have not begun, which attempt runs, who settled
it, and the deadline cell. Neither does any I/O while holding it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from services.compute.errors import StoreUnavailable, TaskCancelled
from services.compute.runner.attempt import Attempt
from services.compute.runner.cluster import compute_on_cluster, is_collection
from services.compute.runner.outbox import Return
from services.compute.runner.outcomes import timed_out
from services.compute.runner.reporting import Reporter
from services.compute.store.types import Charge, Finished, Refusal, Refused, Started

if TYPE_CHECKING:
    from services.compute.registry import Computation
    from services.compute.runner.context import RunnerContext

SLICE_S = 0.02
"""Members are started as many at a time as run in about this many seconds; these would be lost with the process."""
SLICE_MAX = 256
BUDGET_S = 0.5
"""A bundle that runs longer gives its other members back, so that they do not wait behind a slow one."""
OVERDUE_S = 1.0
"""Code that still runs this long after its deadline will not stop by itself: its process is replaced."""
FLUSH_AGE_S = 0.05
"""Finished members wait this long for others to share their round trip."""
START_FOR_S = 120.0
"""How long a bundle waits for Redis to let its members start."""

log = structlog.get_logger(__name__)


class BundleRun:
    """A bundle that this process runs.

    Args:
        context: the process's collaborators.
        dispatch: the bundle's Dask key.
        computation: what its members compute.
        task_ids: the members, in order.
    """

    def __init__(
        self, context: RunnerContext, dispatch: str, computation: Computation, task_ids: Sequence[str]
    ) -> None:
        self.context = context
        self.dispatch = dispatch
        self.computation = computation
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.abandoned = False
        self.current: Attempt | None = None
        self.reporter = Reporter(context.store, context.clock)
        self._waiting = deque(task_ids)
        self._started: deque[tuple[Attempt, bytes]] = deque()
        self._closed = False
        self._cell: int | None = None
        self._began = context.clock()
        self._slice_began = 0.0
        self._slice_size = 0

    # The thread that runs the members.

    def run(self) -> None:
        """Run the members; returns when all outcomes are stored, or kept as long as they could be."""
        self._cell = self.context.deadlines.take()
        try:
            while (member := self._next()) is not None:
                self._run_member(*member)
                if self.context.outbox.due(FLUSH_AGE_S):
                    self.context.outbox.flush()
        finally:
            with self.lock:
                self.context.deadlines.give_back(self._cell)
                self._cell = None
            structlog.contextvars.unbind_contextvars("task_id")
            self.context.outbox.flush()
            self.done.set()

    def _next(self) -> tuple[Attempt, bytes] | None:
        """Make the next member the current one; starts another slice when this one is used up."""
        while True:
            with self.lock:
                if self._started:
                    member = self._started.popleft()
                    self.current = member[0]
                    self._show(self.current.deadline)
                    return member
                if self._closed or not self._waiting:
                    return None
                size = min(self._learn(), len(self._waiting))
                task_ids = [self._waiting.popleft() for _ in range(size)]
            self._start(task_ids)

    def _learn(self) -> int:
        """How many members the next slice has, after what the last one took."""
        now = self.context.clock()
        learned = self.context.learned
        name = self.computation.name
        known = learned.get(name)
        if self._slice_size:
            took = max((now - self._slice_began) / self._slice_size, 1e-7)
            known = took if known is None else 0.7 * known + 0.3 * took
            learned[name] = known
        self._slice_size = 0
        return 1 if known is None else max(1, min(SLICE_MAX, int(SLICE_S / known)))

    def _start(self, task_ids: list[str]) -> None:
        """Ask Redis for leave to run these members, again and again while it is away, for a bounded time."""
        context, computation = self.context, self.computation
        if computation.max_attempts == 1:
            # With the process go the outcomes that are not stored yet, and for these tasks that would be the end.
            context.outbox.flush()
        give_up = context.clock() + START_FOR_S
        pause = 0.1
        while True:
            try:
                answers = context.store.start(
                    self.dispatch,
                    task_ids,
                    worker=context.worker,
                    run=context.run,
                    timeout_ms=int(computation.timeout * 1000),
                    max_attempts=computation.max_attempts,
                    result_ttl_ms=int(computation.result_ttl * 1000),
                    check_after_ms=context.check_after_ms,
                )
                break
            except StoreUnavailable:
                if context.draining or self._closed or context.clock() >= give_up:
                    self._give_back(task_ids + self._empty(), Charge.FREE, delay_ms=random.randint(500, 1500))  # noqa: S311
                    return
            except Exception:
                log.exception("a bundle could not start: the store raised what it should not", dispatch=self.dispatch)
                self._give_back(task_ids + self._empty(), Charge.FREE, delay_ms=random.randint(5000, 10000))  # noqa: S311
                return
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, 2.0)
        self._accept(answers)

    def _accept(self, answers: Sequence[Started | Refused]) -> None:
        now = self.context.clock()
        limit = self.computation.timeout
        members = [
            (Attempt(a.task_id, a.fence, a.attempts, now + (a.deadline_ms - a.now_ms) / 1000, limit), a.parameters)
            for a in answers
            if isinstance(a, Started)
        ]
        # Only this thread starts members of this dispatch here, so what runs here already is a start whose answer
        # got lost while Redis was away: nobody runs it.
        nobodys = [a.task_id for a in answers if isinstance(a, Refused) and a.reason is Refusal.RUNNING]
        with self.lock:
            self._slice_began, self._slice_size = now, len(members)
            if self._closed:
                nobodys += [attempt.task_id for attempt, _ in members]
            else:
                self._started.extend(members)
        self._give_back(nobodys, Charge.FREE)

    def _run_member(self, attempt: Attempt, parameters: bytes) -> None:
        context, computation = self.context, self.computation
        began = time.perf_counter()
        seconds = None
        outcome: Finished | Return | None
        structlog.contextvars.bind_contextvars(task_id=attempt.task_id)
        try:
            value = computation.call(computation.validate_json(parameters))
            if is_collection(value):
                self._give_back(self._empty(), Charge.FREE)
                value = compute_on_cluster(value, attempt, context.holds)
            outcome = context.outcomes.done(attempt, computation, value)
            seconds = time.perf_counter() - began
        except BaseException as error:
            outcome = context.outcomes.raised(attempt, computation, self.dispatch, error)
        with self.lock:
            self.current = None
            self._show(0.0)
            settled, attempt.settled = attempt.settled, True
        if settled or outcome is None:
            return
        self.reporter.write()  # the last report of a member that ends right after it
        if isinstance(outcome, Finished):
            context.outbox.add(outcome, computation.name, seconds)
        else:
            context.outbox.give_back(outcome)

    def report(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Take a progress report of the member that runs.

        Raises:
            TaskCancelled: the task was cancelled, or another attempt has taken over.
            TaskTimeout: its deadline has passed.
        """
        attempt = self.current
        if attempt is None:
            raise TaskCancelled("the task that reports has ended already")
        self.reporter.report(attempt, done, total, message)

    # The watch thread, and the drain.

    def watch(self, now: float) -> None:
        """Hold the running member to its deadline and the bundle to its budget."""
        overdue = False
        back: list[str] = []
        with self.lock:
            attempt = self.current
            if attempt is None:
                return
            late = now >= attempt.deadline
            if late:
                attempt.timed_out = True
                self._show(0.0)
                if not attempt.settled:
                    attempt.settled = True
                    self.context.outbox.add(timed_out(attempt, self.computation))
            if late or now - self._began > BUDGET_S:
                back = self._take_back()
            if now >= attempt.deadline + OVERDUE_S and not attempt.overdue:
                attempt.overdue = overdue = self.abandoned = True
        self._give_back(back, Charge.FREE)
        if overdue:
            log.warning("task runs on past its timeout", task_id=attempt.task_id, dispatch=self.dispatch)
            self.context.on_overdue()

    def surrender(self, charge: Charge) -> int:
        """Let go of everything that has not ended: back into the queue it goes; how many tasks that was."""
        with self.lock:
            task_ids = self._take_back()
            attempt = self.current
            if attempt is not None and not attempt.settled:
                attempt.settled = attempt.cancelled = True
                task_ids.append(attempt.task_id)
            self.abandoned = True
        self._give_back(task_ids, charge)
        return len(task_ids)

    def latest_deadline(self) -> float:
        """Until when the running member may run (clock seconds); 0 when none does."""
        attempt = self.current
        return 0.0 if attempt is None else attempt.deadline

    def _empty(self) -> list[str]:
        with self.lock:
            return self._take_back()

    def _take_back(self) -> list[str]:
        """All members that have not begun, which now will not. The caller holds the lock."""
        self._closed = True
        task_ids = [attempt.task_id for attempt, _ in self._started]
        task_ids += self._waiting
        self._started.clear()
        self._waiting.clear()
        return task_ids

    def _give_back(self, task_ids: Sequence[str], charge: Charge, delay_ms: int = 0) -> None:
        if task_ids:
            self.context.give_back(self.dispatch, self.computation, task_ids, charge, delay_ms)

    def _show(self, deadline: float) -> None:
        if self._cell is not None:
            self.context.deadlines.cells[self._cell] = deadline
