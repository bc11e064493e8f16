"""Any order of transitions, by many hands, late and twice: held against a model of one task's life.

Invariants after each step: every task that is not final is in exactly one place (keycheck), only the current fence may
write, attempts count as the model counts them, and revisions only rise.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from services.compute.models import Outcome, Priority, Progress, State
from services.compute.store import Charge, Refused, Started, Store
from tests.contracts.store import keycheck
from tests.contracts.store.model import MAX_ATTEMPTS, Model
from tests.contracts.store.steps import REASON, Steps, ident, taken_numbers
from tests.servers import Server

PREFIX = "machine"
NUMBERS = st.integers(0, 3)
FINAL = {State.DONE, State.FAILED, State.CANCELLED}


class Life(RuleBasedStateMachine):
    """Tasks 0 to 3, and all dispatches and attempts that there ever were."""

    server: Server
    dispatches: Bundle[tuple[str, tuple[int, ...]]] = Bundle("dispatches")
    attempts: Bundle[tuple[int, Started]] = Bundle("attempts")

    @initialize(ms=st.sampled_from([0.01, 1000.0]))
    def begin(self, ms: float) -> None:
        self.raw = self.server.client()
        self.raw.flushall()
        self.store = Store.from_settings(self.server.settings(PREFIX))
        self.steps = Steps(self.store)
        self.steps.learn(ms=ms)  # short ones travel together
        self.tasks: dict[int, Model] = {number: Model() for number in range(4)}
        self.fences: set[int] = set()
        self.forgotten: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.raw.flushall()
            self.raw.close()

    @rule(number=NUMBERS, priority=st.sampled_from(Priority), force=st.booleans())
    def submit(self, number: int, priority: Priority, force: bool) -> None:
        self._submit(number, priority, force)

    def _submit(self, number: int, priority: Priority, force: bool) -> None:
        task = self.tasks[number]
        answer = self.steps.one(number, priority=priority, force=force)
        if task.state in (State.PENDING, State.RUNNING):
            assert answer.outcome is Outcome.JOINED
        elif task.state is State.DONE and not force:
            assert answer.outcome is Outcome.HIT
        else:
            assert answer.outcome is Outcome.CREATED
            task.back(delayed=False)
            task.attempts = task.drains = 0
        assert answer.state is task.state

    @rule(target=dispatches, limit=st.integers(1, 6))
    def take(self, limit: int) -> Any:
        return multiple(*self._take(limit))

    def _take(self, limit: int) -> list[tuple[str, tuple[int, ...]]]:
        ready = {number for number, task in self.tasks.items() if task.place == "queue"}
        taken = self.steps.take(limit=limit, threads=1)
        numbers = taken_numbers(taken)
        assert len(numbers) == min(limit, len(ready))
        assert set(numbers) <= ready
        assert len(set(numbers)) == len(numbers)
        bundles = []
        for bundle in taken.bundles:
            members = tuple(taken_numbers(taken.__class__((bundle,), taken.depth)))
            assert len(members) == 1 or not any(self.tasks[number].solitary for number in members)
            for number in members:
                task = self.tasks[number]
                task.dispatch, task.place = bundle.dispatch, "flight"
                assert bundle.dispatch not in task.seen
                task.seen.add(bundle.dispatch)
            bundles.append((bundle.dispatch, members))
        return bundles

    @rule(target=attempts, sent=dispatches, run=st.sampled_from(["run-1", "run-2"]), most=st.integers(1, 4))
    def start(self, sent: tuple[str, tuple[int, ...]], run: str, most: int) -> Any:
        dispatch, numbers = sent
        return multiple(*self._start(dispatch, numbers[:most], run))

    def _start(self, dispatch: str, numbers: tuple[int, ...], run: str) -> list[tuple[int, Started]]:
        answers = self.steps.start(dispatch, *map(ident, numbers), run=run, max_attempts=MAX_ATTEMPTS)
        begun = []
        for number, answer in zip(numbers, answers, strict=True):
            task = self.tasks[number]
            if task.dispatch == dispatch and task.state is State.PENDING:
                assert isinstance(answer, Started)
                assert answer.fence not in self.fences
                self.fences.add(answer.fence)
                task.past.append(answer)
                task.state, task.fence, task.run, task.mates = State.RUNNING, answer.fence, run, len(numbers)
                task.attempts += 1
                assert answer.attempts == task.attempts
                begun.append((number, answer))
            else:
                assert isinstance(answer, Refused)
                self._refused(task, dispatch, run, answer.reason.value)
        return begun

    def _refused(self, task: Model, dispatch: str, run: str, reason: str) -> None:
        if task.dispatch != dispatch:
            assert reason == "stale"
        elif task.run == run:
            assert reason == "running"
        elif task.lose():
            assert reason == "requeued"
            task.back(delayed=False)
        else:
            assert reason == "failed"
            task.end(State.FAILED)

    @rule(attempt=attempts, state=st.sampled_from([State.DONE, State.FAILED]))
    def finish(self, attempt: tuple[int, Started], state: State) -> None:
        self._finish(*attempt, state)

    def _finish(self, number: int, started: Started, state: State) -> None:
        task = self.tasks[number]
        done = state is State.DONE
        accepted = self.steps.finish(
            started, state, result=b"%d" % started.fence if done else None, error=None if done else REASON
        )
        if task.state is State.RUNNING and task.fence == started.fence:
            assert accepted
            task.end(state)
            task.fence = started.fence
        elif accepted:  # only the same end again
            assert (task.state, task.fence) == (state, started.fence)

    @rule(attempt=attempts)
    def progress(self, attempt: tuple[int, Started]) -> None:
        self._progress(*attempt)

    def _progress(self, number: int, started: Started) -> None:
        task = self.tasks[number]
        current = task.state is State.RUNNING and task.fence == started.fence
        assert self.store.progress(ident(number), started.fence, Progress(done=1)) == current

    @rule(target=attempts, number=NUMBERS, run=st.sampled_from(["run-1", "run-2"]))
    def run(self, number: int, run: str) -> Any:
        return multiple(*self._run(number, run))

    def _run(self, number: int, run: str) -> list[tuple[int, Started]]:
        """By the shortest way to a task that runs; random steps alone seldom come that far."""
        task = self.tasks[number]
        if task.state in {None, *FINAL}:
            self._submit(number, Priority.BATCH, force=True)
        if task.place == "delayed":
            self._delays_end()
        if task.place == "queue":
            self._take(len(self.tasks))
        if task.state is State.RUNNING:
            return []
        assert task.dispatch is not None
        return self._start(task.dispatch, (number,), run)

    @rule(target=attempts, number=NUMBERS, state=st.sampled_from([State.DONE, State.FAILED]))
    def superseded(self, number: int, state: State) -> Any:
        """A task that runs goes back and runs again, and all of its earlier attempts write to it."""
        begun = self._run(number, "run-1")
        task = self.tasks[number]
        assert task.dispatch is not None
        self._requeue(task.dispatch, number, Charge.FREE, 0)
        begun += self._run(number, "run-2")
        for started in task.past:
            if started.fence != task.fence:
                self._progress(number, started)
                self._finish(number, started, state)
        return multiple(*begun)

    @rule(sent=dispatches, charge=st.sampled_from(Charge), delayed=st.booleans())
    def requeue(self, sent: tuple[str, tuple[int, ...]], charge: Charge, delayed: bool) -> None:
        dispatch, numbers = sent
        for number in numbers:
            self._requeue(dispatch, number, charge, 3_600_000 if delayed else 0)

    def _requeue(self, dispatch: str, number: int, charge: Charge, delay: int) -> None:
        task = self.tasks[number]
        (state,) = self.steps.requeue(charge, (number, dispatch), delay_ms=delay, max_attempts=MAX_ATTEMPTS)
        if task.dispatch != dispatch:
            assert state is None
        elif task.charge(charge):
            assert state is State.PENDING
            task.back(delayed=self.raw.zscore(f"{{{PREFIX}}}:delayed", ident(number)) is not None)
        else:
            assert state is State.FAILED
            task.end(State.FAILED)

    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        task = self.tasks[number]
        record = self.steps.cancel(number)
        if task.state in (State.PENDING, State.RUNNING):
            task.end(State.CANCELLED)
        assert (record and record.state) == task.state

    @rule()
    def delays_end(self) -> None:
        self._delays_end()

    def _delays_end(self) -> None:
        waiting: Any = self.raw.zrange(f"{{{PREFIX}}}:delayed", 0, -1)
        if waiting:
            self.raw.zadd(f"{{{PREFIX}}}:delayed", dict.fromkeys(waiting, 1))
        for task in self.tasks.values():
            task.place = "queue" if task.place == "delayed" else task.place

    @rule(number=NUMBERS)
    def expire(self, number: int) -> None:
        task = self.tasks[number]
        if task.state in FINAL:
            self.raw.delete(f"{{{PREFIX}}}:t:{ident(number)}")
            self.tasks[number] = Model(seen=task.seen, past=task.past)
            self.forgotten.add(ident(number))

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "store"):
            return
        keycheck.check(self.raw, PREFIX, self.forgotten)
        for number, record in enumerate(self.store.get([ident(n) for n in range(4)], with_results=True)):
            task = self.tasks[number]
            assert (record and record.state) == task.state, number
            if record is None:
                continue
            assert record.attempts == task.attempts
            assert record.revision >= task.revision
            task.revision = record.revision
            if task.state is State.DONE:
                assert record.result == b"%d" % (task.fence or 0)


def test_any_order_of_transitions(server: Server) -> None:
    machine = type("Here", (Life,), {"server": server})
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=quiet, database=None
        ),
    )
