"""Any order of transitions, by many hands, late and twice: held against a model of one task's life.

Invariants after each step: every task that is not final is in exactly one place (keycheck), only the current fence may
write, attempts count as the model counts them, and revisions only rise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
from tests.contracts.store.steps import REASON, Steps, ident, taken_numbers
from tests.servers import Server

PREFIX = "machine"
NUMBERS = st.integers(0, 3)
MAX_ATTEMPTS = 3
FINAL = {State.DONE, State.FAILED, State.CANCELLED}


@dataclass
class Model:
    """What is known of one task; `place` says where one that waits is."""

    state: State | None = None
    place: str = ""
    attempts: int = 0
    drains: int = 0
    dispatch: str | None = None
    fence: int | None = None
    run: str | None = None
    revision: int = 0
    seen: set[str] = field(default_factory=set)

    def end(self, state: State) -> None:
        self.state, self.place, self.dispatch, self.run = state, "", None, None
        if state is not State.DONE:
            self.fence = None if state is State.CANCELLED else self.fence

    def back(self, delayed: bool) -> None:
        self.state, self.place = State.PENDING, "delayed" if delayed else "queue"
        self.dispatch = self.fence = self.run = None

    def charge(self, charge: Charge) -> bool:
        if self.state is State.PENDING:
            return True
        if charge is Charge.ATTEMPT:
            return self.attempts < MAX_ATTEMPTS
        self.attempts -= 1
        self.drains += charge is Charge.DRAIN
        return True


class Life(RuleBasedStateMachine):
    """Tasks 0 to 3, and all dispatches and attempts that there ever were."""

    server: Server
    dispatches: Bundle[tuple[str, int]] = Bundle("dispatches")
    attempts: Bundle[tuple[int, Started]] = Bundle("attempts")

    @initialize()
    def begin(self) -> None:
        self.raw = self.server.client()
        self.raw.flushall()
        self.store = Store.from_settings(self.server.settings(PREFIX))
        self.steps = Steps(self.store)
        self.steps.learn()
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
        ready = {number for number, task in self.tasks.items() if task.place == "queue"}
        taken = self.steps.take(limit=limit)
        numbers = taken_numbers(taken)
        assert len(numbers) == min(limit, len(ready))
        assert set(numbers) <= ready
        assert len(set(numbers)) == len(numbers)
        for bundle in taken.bundles:
            for number in taken_numbers(taken.__class__((bundle,), taken.depth)):
                task = self.tasks[number]
                task.dispatch, task.place = bundle.dispatch, "flight"
                assert bundle.dispatch not in task.seen
                task.seen.add(bundle.dispatch)
        return multiple(*((b.dispatch, n) for b in taken.bundles for n in numbers if ident(n) in b.task_ids))

    @rule(target=attempts, sent=dispatches, run=st.sampled_from(["run-1", "run-2"]))
    def start(self, sent: tuple[str, int], run: str) -> Any:
        dispatch, number = sent
        task = self.tasks[number]
        (answer,) = self.steps.start(dispatch, ident(number), run=run, max_attempts=MAX_ATTEMPTS)
        if task.dispatch == dispatch and task.state is State.PENDING:
            assert isinstance(answer, Started)
            assert answer.fence not in self.fences
            self.fences.add(answer.fence)
            task.state, task.fence, task.run = State.RUNNING, answer.fence, run
            task.attempts += 1
            assert answer.attempts == task.attempts
            return (number, answer)
        assert isinstance(answer, Refused)
        if task.dispatch != dispatch:
            assert answer.reason.value == "stale"
        elif task.run == run:
            assert answer.reason.value == "running"
        elif task.attempts >= MAX_ATTEMPTS:
            assert answer.reason.value == "failed"
            task.end(State.FAILED)
        else:
            assert answer.reason.value == "requeued"
            task.back(delayed=False)
        return multiple()

    @rule(attempt=attempts, state=st.sampled_from([State.DONE, State.FAILED]))
    def finish(self, attempt: tuple[int, Started], state: State) -> None:
        number, started = attempt
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
        number, started = attempt
        task = self.tasks[number]
        current = task.state is State.RUNNING and task.fence == started.fence
        assert self.store.progress(ident(number), started.fence, Progress(done=1)) == current

    @rule(sent=dispatches, charge=st.sampled_from(Charge), delayed=st.booleans())
    def requeue(self, sent: tuple[str, int], charge: Charge, delayed: bool) -> None:
        dispatch, number = sent
        task = self.tasks[number]
        delay = 3_600_000 if delayed else 0
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
            self.tasks[number] = Model(seen=task.seen)
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
