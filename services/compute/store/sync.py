"""The store for workers: the same commands, blocking, safe to share between threads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.compute.models import Priority, Progress, State, TaskError
from services.compute.store import commands
from services.compute.store.commands import chunks
from services.compute.store.executors import Executor
from services.compute.store.records import StoredRecord
from services.compute.store.types import (
    Admission,
    Backlog,
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
    Vitals,
)


class Store(Executor):
    """The record of intent, asked in blocking calls by any number of threads; methods mean what `AsyncStore`'s do.

    Args:
        client: a client that decodes nothing and retries nothing.
        prefix: leads every key, `{…}:`.

    Every method raises `StoreUnavailable` when the server gives no answer in time or cannot take the command.
    """

    def submit(
        self,
        items: Sequence[Submission],
        *,
        priority: Priority,
        force: bool = False,
        queue_max: int | None = None,
        records: bool = True,
    ) -> list[Submitted]:
        """Create these tasks, join those under way, or find their results; one answer per item, in order."""
        answers: list[Submitted] = []
        for piece in chunks(items):
            part = self._run(commands.submit(piece, priority, force, queue_max, records))
            places = commands.left_out([each.record for each in part])
            if places:
                commands.fill_in(part, places, self.get([piece[at].task_id for at in places], with_results=True))
            answers += part
        return answers

    def admit(self, task_ids: Sequence[str], *, force: bool = False) -> Admission:
        """Count what a batch of these (distinct) ids would add."""
        counts = [self._run(commands.admit(piece, force)) for piece in chunks(task_ids)]
        return Admission(sum(each.new for each in counts), counts[-1].waiting if counts else 0)

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
        """Pop tasks, interactive ones first, bundle them and mark them dispatched, all at once."""
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
        check_after_ms: int,
    ) -> list[Started | Refused]:
        """Begin attempts of the members of a dispatch."""
        return self._run(
            commands.start(
                dispatch,
                task_ids,
                worker=worker,
                run=run,
                timeout_ms=timeout_ms,
                max_attempts=max_attempts,
                result_ttl_ms=result_ttl_ms,
                check_after_ms=check_after_ms,
            )
        )

    def finish(self, items: Sequence[Finished], durations: Mapping[str, tuple[int, float]] | None = None) -> list[bool]:
        """End attempts (at most 500); per item whether its end is on record, False when another attempt is current."""
        return self._run(commands.finish(items, durations or {})) if items or durations else []

    def progress(self, task_id: str, fence: int, value: Progress) -> bool:
        """Write progress; False when the attempt is not the current one: stop it."""
        return self._run(commands.progress(task_id, fence, value))

    def cancel(self, task_ids: Sequence[str], *, ttl_ms: int) -> list[StoredRecord | None]:
        """Cancel what is not final; answer the records as they are then, None for the unknown."""
        pieces = [self._run(commands.cancel(piece, ttl_ms)) for piece in chunks(task_ids)]
        return [record for piece in pieces for record in piece]

    def requeue(
        self,
        items: Sequence[Handback],
        charge: Charge,
        *,
        delay_ms: int = 0,
        max_attempts: int,
        reason: TaskError,
        result_ttl_ms: int,
    ) -> list[State | None]:
        """Put back what still belongs to its dispatch."""
        pieces = [
            self._run(commands.requeue(piece, charge, delay_ms, max_attempts, reason, result_ttl_ms))
            for piece in chunks(items)
        ]
        return [state for piece in pieces for state in piece]

    def due(self, limit: int = 500) -> list[FlightEntry]:
        """Tasks in flight whose time to be looked at has come; each stays due until postponed, final or put back."""
        return self._run(commands.due(limit))

    def postpone(self, task_ids: Sequence[str], check_after_ms: int) -> None:
        """Look at these again later; a deadline before that keeps its look."""
        for piece in chunks(task_ids):
            self._run(commands.postpone(piece, check_after_ms))

    def get(self, task_ids: Sequence[str], *, with_results: bool = False) -> list[StoredRecord | None]:
        """Read records, None for the unknown; with their inline results where asked."""
        records = [record for piece in chunks(task_ids) for record in self._run(commands.get(piece, with_results))]
        for at in commands.left_out(records) if with_results else ():
            (records[at],) = self._run(commands.get([task_ids[at]], True))
        return records

    def recent(
        self, *, state: State | None = None, computation: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """One page of the recent tasks, the newest first."""
        return self._run(commands.recent(state, computation, cursor, limit))

    def depth(self) -> Depth:
        """Count the queues."""
        return self._run(commands.depth())

    def vitals(self) -> Vitals:
        """Look at server and queues; cheap, whatever waits."""
        return self._run(commands.vitals())

    def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take a free lease or prolong one's own; False while it is another owner's."""
        return self._run(commands.lease(name, owner, ttl_ms))

    def release(self, name: str, owner: str) -> bool:
        """Give a lease back; False when it was not the owner's."""
        return self._run(commands.release(name, owner))

    def durations(self) -> dict[str, float]:
        """Learned milliseconds per task by computation."""
        return self._run(commands.durations())

    def fleet(self) -> bytes | None:
        """The autoscaler's state document (JSON); None when none was ever written."""
        return self._run(commands.fleet())

    def put_fleet(
        self,
        owner: str,
        document: bytes | None = None,
        *,
        notes: Mapping[str, bytes] | None = None,
        drop: Iterable[str] = (),
    ) -> bool:
        """Replace the autoscaler's document and change its notes, at once; False when the lease is not the owner's."""
        return self._run(commands.put_fleet(owner, document, notes or {}, drop))

    def fleet_notes(self) -> dict[str, bytes]:
        """The autoscaler's notes by name."""
        return self._run(commands.fleet_notes())

    def backlog(self) -> Backlog:
        """Count what waits, by computation, with what tasks of each take."""
        return self._run(commands.backlog())

    def ping(self) -> None:
        """Ask the server for any answer."""
        self._run(commands.ping())
