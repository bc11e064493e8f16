"""The store for workers: the same methods as `AsyncStore`, blocking, for any number of threads.

What each method means is written there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.compute.models import Priority, Progress, State, TaskError
from services.compute.store import commands
from services.compute.store.commands import CHUNK, chunks, left_out
from services.compute.store.executors import Executor
from services.compute.store.records import StoredRecord
from services.compute.store.types import (
    Admission,
    Charge,
    Depth,
    Finished,
    FlightEntry,
    Handback,
    Page,
    Refused,
    Started,
    Submission,
    Submitted,
    Taken,
)


class Store(Executor):
    """All that services do with Redis, blocking. Every method raises StoreUnavailable, in bounded time."""

    def submit(
        self,
        items: Sequence[Submission],
        *,
        priority: Priority = Priority.INTERACTIVE,
        force: bool = False,
        queue_max: int | None = None,
        records: bool = True,
    ) -> list[Submitted]:
        """Create, join or hit each task; in order."""
        found: list[Submitted] = []
        for chunk in chunks(items):
            part = self._run(commands.submit(chunk, priority, force, queue_max, records))
            missing = left_out([each.record for each in part]) if records else []
            if missing:
                commands.fill_in(part, missing, self.get([part[i].task_id for i in missing], with_results=True))
            found += part
        return found

    def admit(self, task_ids: Sequence[str], *, force: bool = False) -> Admission:
        """How many of these distinct tasks would be queued anew, and how many wait; changes nothing."""
        admission = Admission(0, 0)
        for chunk in chunks(task_ids):
            part = self._run(commands.admit(chunk, force))
            admission = Admission(admission.new + part.new, part.waiting)
        return admission

    def get(self, task_ids: Sequence[str], *, with_results: bool = False) -> list[StoredRecord | None]:
        """Records in order, None where there is none; with inline results if asked for."""
        found: list[StoredRecord | None] = []
        for chunk in chunks(task_ids):
            found += self._get(chunk, with_results)
        return found

    def cancel(self, task_ids: Sequence[str], *, ttl_ms: int) -> list[StoredRecord | None]:
        """Make PENDING and RUNNING tasks CANCELLED; the records as they are then."""
        return [record for chunk in chunks(task_ids) for record in self._run(commands.cancel(chunk, ttl_ms))]

    def recent(
        self,
        *,
        state: State | None = None,
        computation: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Recent tasks, the newest first; raises ValueError for a cursor that is none of ours."""
        return self._run(commands.recent(state, computation, cursor, limit))

    def take(
        self,
        *,
        limit: int,
        bound: int,
        threads: int,
        versions: Mapping[str, Iterable[str]],
        scheduler: str,
        dispatch_hex: str | None = None,
        target_ms: float = 100.0,
        max_bundle: int = 500,
        check_after_ms: int = 5_000,
        version_wait_ms: int = 600_000,
        failed_ttl_ms: int = 86_400_000,
    ) -> Taken:
        """Pop tasks and mark them dispatched, at once for all replicas."""
        return self._run(
            commands.take(
                limit=limit,
                bound=bound,
                threads=threads,
                versions=versions,
                scheduler=scheduler,
                dispatch_hex=dispatch_hex,
                target_ms=target_ms,
                max_bundle=max_bundle,
                check_after_ms=check_after_ms,
                version_wait_ms=version_wait_ms,
                failed_ttl_ms=failed_ttl_ms,
            )
        )

    def requeue(
        self,
        items: Sequence[Handback],
        charge: Charge,
        *,
        max_attempts: int,
        reason: TaskError,
        result_ttl_ms: int,
        delay_ms: int = 0,
    ) -> list[State | None]:
        """Put back tasks that still belong to their dispatch."""
        return [
            state
            for chunk in chunks(items)
            for state in self._run(commands.requeue(chunk, charge, delay_ms, max_attempts, reason, result_ttl_ms))
        ]

    def due(self, limit: int = CHUNK) -> list[FlightEntry]:
        """Tasks in flight whose time to be looked at has come, the longest due first."""
        return self._run(commands.due(limit))

    def postpone(self, task_ids: Sequence[str], check_after_ms: int) -> None:
        """Look at these again later, or at their deadlines."""
        for chunk in chunks(task_ids):
            self._run(commands.postpone(chunk, check_after_ms))

    def start(
        self,
        dispatch: str,
        task_ids: Sequence[str],
        *,
        worker: str,
        run: str,
        timeout_ms: int,
        max_attempts: int,
        result_ttl_ms: int,
        check_after_ms: int = 5_000,
    ) -> list[Started | Refused]:
        """Begin attempts of members of one dispatch."""
        return [
            answer
            for chunk in chunks(task_ids)
            for answer in self._run(
                commands.start(
                    dispatch,
                    chunk,
                    worker=worker,
                    run=run,
                    timeout_ms=timeout_ms,
                    max_attempts=max_attempts,
                    result_ttl_ms=result_ttl_ms,
                    check_after_ms=check_after_ms,
                )
            )
        ]

    def finish(self, items: Sequence[Finished], durations: Mapping[str, tuple[int, float]] | None = None) -> list[bool]:
        """End attempts; whether each was still the current one (or had ended so already: a repetition)."""
        found: list[bool] = []
        for number, chunk in enumerate(chunks(items)):
            found += self._run(commands.finish(chunk, (durations or {}) if number == 0 else {}))
        return found

    def progress(self, task_id: str, fence: int, progress: Progress) -> bool:
        """Write progress; False when the attempt is no longer current."""
        return self._run(commands.progress(task_id, fence, progress))

    def depth(self) -> Depth:
        """How many tasks are where."""
        return self._run(commands.depth())

    def durations(self) -> dict[str, float]:
        """Learned milliseconds per task, by computation; those not known yet are missing."""
        return self._run(commands.durations())

    def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take or prolong a lease; False while another owner holds it."""
        return self._run(commands.lease(name, owner, ttl_ms))

    def release(self, name: str, owner: str) -> bool:
        """Give a lease back; False when it was not `owner`'s."""
        return self._run(commands.release(name, owner))

    def fleet(self) -> bytes | None:
        """The autoscaler's state document, JSON; None when there is none."""
        return self._run(commands.fleet())

    def put_fleet(self, document: bytes) -> None:
        """Replace the autoscaler's state document."""
        self._run(commands.put_fleet(document))

    def ping(self) -> None:
        """Whether the server serves data: raises StoreUnavailable otherwise."""
        self._run(commands.ping())

    def _get(self, task_ids: Sequence[str], with_results: bool) -> list[StoredRecord | None]:
        found = self._run(commands.get(task_ids, with_results))
        missing = left_out(found) if with_results else []
        while missing:
            again = self._run(commands.get([task_ids[i] for i in missing], with_results))
            for at, record in zip(missing, again, strict=True):
                found[at] = record
            still = [missing[i] for i in left_out(again)]
            if len(still) == len(missing):  # there is none: not left out, but lost
                break
            missing = still
        return found
