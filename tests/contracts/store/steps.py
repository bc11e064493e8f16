"""Steps that the store's contract tests share: short ways to submit, take, start and end tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from services.compute.models import Outcome, Priority, State, TaskError
from services.compute.settings import RedisSettings
from services.compute.store import (
    AsyncStore,
    Bundle,
    Charge,
    Finished,
    Handback,
    Refused,
    Started,
    Store,
    StoredRecord,
    Submission,
    Submitted,
    Taken,
)

VERSION = "0123456789abcdef"
TTL = 60_000
REASON = TaskError(type="worker_lost", message="the worker went away")


class Blocking:
    """An `AsyncStore` behind the blocking store's methods, so that one test body drives either."""

    def __init__(self, settings: RedisSettings) -> None:
        self._runner = asyncio.Runner()
        self.inner = self._runner.run(self._make(settings))

    async def _make(self, settings: RedisSettings) -> AsyncStore:
        return AsyncStore.from_settings(settings)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._runner.run(method(*args, **kwargs))

        return call

    def close(self) -> None:
        self._runner.run(self.inner.aclose())
        self._runner.close()


class Steps:
    """One store, and the defaults of a test's world: a computation `fib`, held in one version, no pacing.

    Args:
        store: a `Store`, or `Blocking`, which has the same methods.
    """

    def __init__(self, store: Store | Blocking) -> None:
        self.store: Any = store

    def submit(
        self, *numbers: int, name: str = "fib", priority: Priority = Priority.BATCH, **options: Any
    ) -> list[Submitted]:
        found: list[Submitted] = self.store.submit(
            [submission(number, name) for number in numbers], priority=priority, **options
        )
        return found

    def one(self, number: int, name: str = "fib", **options: Any) -> Submitted:
        return self.submit(number, name=name, **options)[0]

    def learn(self, name: str = "fib", ms: float = 1000.0) -> None:
        """Teach a duration, so that nothing is paced and bundles have one member (at 100 ms or more)."""
        self.store.finish([], {name: (1, ms)})

    def take(self, **options: Any) -> Taken:
        defaults: dict[str, Any] = {
            "limit": 100,
            "bound": 1000,
            "threads": 2,
            "versions": {"fib": [VERSION], "svd": [VERSION]},
            "scheduler": "Scheduler-1",
            "check_after_ms": 60_000,
        }
        taken: Taken = self.store.take(**{**defaults, **options})
        return taken

    def start(self, dispatch: str, *task_ids: str, run: str = "run-1", **options: Any) -> list[Started | Refused]:
        defaults: dict[str, Any] = {
            "worker": "w-1",
            "timeout_ms": 60_000,
            "max_attempts": 4,
            "result_ttl_ms": TTL,
            "check_after_ms": 60_000,
        }
        found: list[Started | Refused] = self.store.start(dispatch, task_ids, run=run, **{**defaults, **options})
        return found

    def dispatched(self, number: int, **options: Any) -> str:
        """Submit, take; the dispatch's key."""
        self.learn()
        self.submit(number)
        return bundle_of(self.take(**options), number).dispatch

    def running(self, number: int, **options: Any) -> tuple[str, Started]:
        """Submit, take, start; the dispatch's key and the attempt."""
        dispatch = self.dispatched(number)
        return dispatch, begun(self.start(dispatch, ident(number), **options))

    def done(self, number: int, result: bytes = b"1", ttl_ms: int = TTL) -> Started:
        """A whole life."""
        _, attempt = self.running(number)
        assert self.finish(attempt, result=result, ttl_ms=ttl_ms)
        return attempt

    def finish(
        self,
        attempt: Started,
        state: State = State.DONE,
        *,
        result: bytes | None = b"1",
        object: str | None = None,
        error: TaskError | None = None,
        ttl_ms: int = TTL,
        durations: dict[str, tuple[int, float]] | None = None,
    ) -> bool:
        end = Finished(attempt.task_id, attempt.fence, state, ttl_ms, result, object, error)
        (accepted,) = self.store.finish([end], durations)
        return bool(accepted)

    def requeue(self, charge: Charge, *items: tuple[int, str], delay_ms: int = 0, max_attempts: int = 4) -> list[Any]:
        found: list[State | None] = self.store.requeue(
            [Handback(ident(number), dispatch) for number, dispatch in items],
            charge,
            delay_ms=delay_ms,
            max_attempts=max_attempts,
            reason=REASON,
            result_ttl_ms=TTL,
        )
        return found

    def cancel(self, number: int) -> StoredRecord | None:
        (record,) = self.store.cancel([ident(number)], ttl_ms=TTL)
        return record  # type: ignore[no-any-return]

    def get(self, number: int) -> StoredRecord:
        (record,) = self.store.get([ident(number)], with_results=True)
        assert record is not None
        return record  # type: ignore[no-any-return]


def ident(number: int, name: str = "fib") -> str:
    return f"{name}-{number:032x}"


def submission(number: int, name: str = "fib") -> Submission:
    return Submission(ident(number, name), VERSION, b'{"n":%d}' % number)


def outcomes(answers: Sequence[Submitted]) -> list[Outcome | None]:
    return [answer.outcome for answer in answers]


def taken_numbers(taken: Taken) -> list[int]:
    return [int(task_id.rpartition("-")[2], 16) for bundle in taken.bundles for task_id in bundle.task_ids]


def bundle_of(taken: Taken, number: int) -> Bundle:
    return next(bundle for bundle in taken.bundles if ident(number) in bundle.task_ids)


def begun(answers: Sequence[Started | Refused]) -> Started:
    (answer,) = answers
    assert isinstance(answer, Started), answer
    return answer


def refusal(answers: Sequence[Started | Refused]) -> str:
    (answer,) = answers
    assert isinstance(answer, Refused), answer
    return answer.reason.value
