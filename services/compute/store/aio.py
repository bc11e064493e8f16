"""The store for the API: commands executed over asyncio, those of one loop tick gathered into one call.

Gathering is what makes hits cheap: under load many requests are read in one tick, and their submissions (or reads)
share one round trip and one answer. While `_CALLS` gathered calls are under way, more arrive and make the next larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from redis.asyncio import Redis

from services.compute.models import Priority, Progress, State, TaskError
from services.compute.store import commands
from services.compute.store.commands import chunks
from services.compute.store.executors import AsyncExecutor
from services.compute.store.gather import Gathered
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

_CALLS = 4


class AsyncStore(AsyncExecutor):
    """The record of intent, asked over asyncio.

    Args:
        client: a client that decodes nothing and retries nothing.
        prefix: leads every key, `{…}:`.

    Every method raises `StoreUnavailable` when the server gives no answer in time or cannot take the command.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self._submissions = Gathered(self._submit, commands.CHUNK, _CALLS)
        self._reads = Gathered(self._read, commands.CHUNK, _CALLS)

    async def submit(
        self,
        items: Sequence[Submission],
        *,
        priority: Priority,
        force: bool = False,
        queue_max: int | None = None,
        records: bool = True,
    ) -> list[Submitted]:
        """Create these tasks, join those under way, or find their results; one answer per item, in order.

        Args:
            items: the tasks.
            priority: the queue of what is created; an interactive submission also lifts a task out of its batch.
            force: run also what is DONE anew.
            queue_max: tasks that may wait; what would exceed it is answered as full. None: no limit.
            records: answer with records, and with inline results of hits.
        """
        flags = (priority, force, queue_max, records)
        if len(items) == 1:
            return [await self._submissions.one(flags, items[0])]
        pieces = [await self._submit(flags, piece) for piece in chunks(items)]
        return [answer for piece in pieces for answer in piece]

    async def _submit(
        self, flags: tuple[Priority, bool, int | None, bool], items: Sequence[Submission]
    ) -> list[Submitted]:
        answers = await self._run(commands.submit(items, *flags))
        places = commands.left_out([each.record for each in answers])
        if places:
            commands.fill_in(answers, places, await self._read(True, [items[at].task_id for at in places]))
        return answers

    async def admit(self, task_ids: Sequence[str], *, force: bool = False) -> Admission:
        """Count what a batch of these (distinct) ids would add."""
        counts = [await self._run(commands.admit(piece, force)) for piece in chunks(task_ids)]
        return Admission(sum(each.new for each in counts), counts[-1].waiting if counts else 0)

    async def take(
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
        """Pop tasks, interactive ones first, bundle them and mark them dispatched, all at once.

        Args:
            limit: tasks to pop, at most; a thousand take the server some 10 ms.
            bound: tasks in Dask over all replicas, at most.
            threads: threads of all workers: never fewer bundles than these while there are tasks.
            versions: what workers hold, by computation.
            scheduler: id of the scheduler that the bundles go to.
            dispatch_hex: makes the Dask keys; a random one by default.
            target_ms: how long a bundle should run.
            max_bundle: members of a bundle, at most.
            check_after_ms: when reconcile should look at them.
            version_wait_ms: how long a task may wait for a worker with its version before it is FAILED.
            failed_ttl_ms: how long such a record is kept.
        """
        return await self._run(
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

    async def start(
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
        """Begin attempts of the members of a dispatch.

        Args:
            dispatch: the Dask key; a member that was dispatched anew since is refused.
            task_ids: the members, at most 500.
            worker: name of the worker, for people.
            run: id of the worker process.
            timeout_ms: how long the attempt may take.
            max_attempts: attempts allowed; counts for members that a dead worker had begun.
            result_ttl_ms: how long a record that fails here is kept.
            check_after_ms: when reconcile should look.
        """
        return await self._run(
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

    async def finish(
        self, items: Sequence[Finished], durations: Mapping[str, tuple[int, float]] | None = None
    ) -> list[bool]:
        """End attempts (at most 500); per item whether its end is on record, False when another attempt is current.

        `durations` teaches what tasks take: by computation the number of tasks and their milliseconds in all.
        """
        return await self._run(commands.finish(items, durations or {})) if items or durations else []

    async def progress(self, task_id: str, fence: int, value: Progress) -> bool:
        """Write progress; False when the attempt is not the current one: stop it."""
        return await self._run(commands.progress(task_id, fence, value))

    async def cancel(self, task_ids: Sequence[str], *, ttl_ms: int) -> list[StoredRecord | None]:
        """Cancel what is not final; answer the records as they are then, None for the unknown."""
        pieces = [await self._run(commands.cancel(piece, ttl_ms)) for piece in chunks(task_ids)]
        return [record for piece in pieces for record in piece]

    async def requeue(
        self,
        items: Sequence[Handback],
        charge: Charge,
        *,
        delay_ms: int = 0,
        max_attempts: int,
        reason: TaskError,
        result_ttl_ms: int,
    ) -> list[State | None]:
        """Put back what still belongs to its dispatch.

        Args:
            items: tasks and the dispatch that each must still belong to.
            charge: what it costs a task whose attempt had begun.
            delay_ms: how long it waits, 0 for the head of its queue; the caller adds jitter.
            max_attempts: attempts allowed.
            reason: the error when none is left.
            result_ttl_ms: how long a record that fails here is kept.

        Returns:
            per item PENDING, or FAILED when no attempt was left, or None where it belongs to somebody else by now.
        """
        pieces = [
            await self._run(commands.requeue(piece, charge, delay_ms, max_attempts, reason, result_ttl_ms))
            for piece in chunks(items)
        ]
        return [state for piece in pieces for state in piece]

    async def due(self, limit: int = 500) -> list[FlightEntry]:
        """Tasks in flight whose time to be looked at has come; each stays due until postponed, final or put back."""
        return await self._run(commands.due(limit))

    async def postpone(self, task_ids: Sequence[str], check_after_ms: int) -> None:
        """Look at these again later; a deadline before that keeps its look."""
        for piece in chunks(task_ids):
            await self._run(commands.postpone(piece, check_after_ms))

    async def states(self, task_ids: Sequence[str]) -> list[State | None]:
        """Read states alone, None for the unknown: a third of what `get` costs the server."""
        pieces = [await self._run(commands.states(piece)) for piece in chunks(task_ids)]
        return [state for piece in pieces for state in piece]

    async def get(self, task_ids: Sequence[str], *, with_results: bool = False) -> list[StoredRecord | None]:
        """Read records, None for the unknown; with their inline results where asked."""
        if len(task_ids) == 1:
            return [await self._reads.one(with_results, task_ids[0])]
        pieces = [await self._read(with_results, piece) for piece in chunks(task_ids)]
        return [record for piece in pieces for record in piece]

    async def _read(self, with_results: bool, task_ids: Sequence[str]) -> list[StoredRecord | None]:
        records = await self._run(commands.get(task_ids, with_results))
        for at in commands.left_out(records) if with_results else ():
            (records[at],) = await self._run(commands.get([task_ids[at]], True))
        return records

    async def recent(
        self, *, state: State | None = None, computation: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page:
        """One page of the recent tasks, the newest first.

        Raises:
            ValueError: the cursor is none of ours.
        """
        return await self._run(commands.recent(state, computation, cursor, limit))

    async def depth(self) -> Depth:
        """Count the queues."""
        return await self._run(commands.depth())

    async def vitals(self) -> Vitals:
        """Look at server and queues; cheap, whatever waits."""
        return await self._run(commands.vitals())

    async def lease(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take a free lease or prolong one's own; False while it is another owner's."""
        return await self._run(commands.lease(name, owner, ttl_ms))

    async def release(self, name: str, owner: str) -> bool:
        """Give a lease back; False when it was not the owner's."""
        return await self._run(commands.release(name, owner))

    async def durations(self) -> dict[str, float]:
        """Learned milliseconds per task by computation."""
        return await self._run(commands.durations())

    async def fleet(self) -> bytes | None:
        """The autoscaler's state document (JSON); None when none was ever written."""
        return await self._run(commands.fleet())

    async def put_fleet(
        self,
        owner: str,
        document: bytes | None = None,
        *,
        notes: Mapping[str, bytes] | None = None,
        drop: Iterable[str] = (),
    ) -> bool:
        """Replace the autoscaler's document and change its notes, at once; False when the lease is not the owner's.

        Notes are what the autoscaler must not forget: launches that it is about to make, machines that it retires.

        Args:
            owner: must hold the lease `autoscaler`.
            document: JSON; None leaves the one that is there.
            notes: to write, by name.
            drop: names of notes to remove.
        """
        return await self._run(commands.put_fleet(owner, document, notes or {}, drop))

    async def fleet_notes(self) -> dict[str, bytes]:
        """The autoscaler's notes by name."""
        return await self._run(commands.fleet_notes())

    async def backlog(self) -> Backlog:
        """Count what waits, by computation, with what tasks of each take."""
        return await self._run(commands.backlog())

    async def ping(self) -> None:
        """Ask the server for any answer."""
        await self._run(commands.ping())
