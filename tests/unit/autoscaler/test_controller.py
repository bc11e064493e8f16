"""The controller over the strict ECS, in virtual time: hours of a fleet's life in seconds."""

from __future__ import annotations

from typing import Any

import pytest

from services.autoscaler.act import LEASE_MS
from services.autoscaler.controller import Controller, Round
from services.autoscaler.fleet.ecs import EcsFleet
from services.compute.errors import StoreUnavailable
from tests.fakes.ecs import ON_DEMAND, SPOT, Definition, FakeEcs, FakeTask, Hooks
from tests.unit.autoscaler.worlds import NOW, HandScheduler, MemoryStore, backlog, settings, worker

STEP = 5.0


class Life(Hooks):
    """Machines whose workers join the scheduler a moment after they run, and leave it when they end."""

    def __init__(self, scheduler: HandScheduler) -> None:
        self.scheduler = scheduler
        self.join = True

    def on_start(self, task: FakeTask) -> None:
        if self.join:
            self.scheduler.join(task.id)

    def on_sigterm(self, task: FakeTask) -> None:
        self.scheduler.leave(task.id)

    def on_kill(self, task: FakeTask) -> None:
        self.scheduler.leave(task.id)


class World:
    """A cluster, a scheduler, Redis and autoscalers, on one clock."""

    def __init__(self, **changes: object) -> None:
        self.now = NOW
        self.settings = settings(**changes)
        self.scheduler = HandScheduler()
        self.life = Life(self.scheduler)
        self.ecs = FakeEcs(
            lambda: self.now,
            definitions=[Definition("worker", 1), Definition("worker", 2)],
            list_lag=6.0,
            drain=1.0,
            hooks=self.life,
        )
        self.store = MemoryStore(lambda: self.now)
        self.controller = self.start()

    def start(self, **changes: object) -> Controller:
        """A new autoscaler process, which knows nothing."""
        own = self.settings.model_copy(update=changes)
        return Controller(EcsFleet(self.ecs, own, lambda: self.now), self.scheduler, self.store, own, lambda: self.now)

    def round(self) -> Round | None:
        answer = self.controller.round()
        self.now += STEP
        self.ecs.advance()
        return answer

    def rounds(self, seconds: float) -> list[Round]:
        found = [self.round() for _ in range(int(seconds / STEP))]
        return [each for each in found if each is not None]

    def busy(self, count: int, target: int | None = None) -> None:
        """So many tasks run, one on each of the first machines; the scheduler wants as many workers, or `target`."""
        names = sorted(self.scheduler.workers)
        for n, name in enumerate(names):
            self.scheduler.run(name, int(n < count))
        self.scheduler.target = count if target is None else target

    @property
    def running(self) -> list[FakeTask]:
        return list(self.ecs.running())


def test_one_to_a_hundred_in_ten_calls_and_back() -> None:
    world = World(fluctuation_window=60)
    world.rounds(120)
    assert len(world.running) == 1
    before = world.ecs.count("RunTask")
    world.scheduler.target = 100
    world.round()
    assert world.ecs.count("RunTask") - before == 10, "99 machines, ten a call"
    for _ in range(20):
        world.round()
        world.busy(100)
    assert len(world.running) == 100
    world.busy(0)
    world.rounds(180)
    assert len(world.running) == 1
    assert len(world.ecs.tasks) == 100, "nothing was started twice, though listings lag behind"
    assert world.store.notes == {}


def test_zero_and_up_again_on_the_first_task() -> None:
    world = World(workers_min=0)
    world.rounds(30)
    assert world.ecs.tasks == {}
    world.store.work = backlog({"any": 1})
    world.rounds(90)
    assert len(world.running) == 1
    world.store.work = backlog()
    world.rounds(180)
    assert world.running == []


def test_a_busy_machine_is_not_stopped_and_a_retired_one_gets_nothing_new() -> None:
    world = World(workers_min=0, fluctuation_window=0)
    world.scheduler.target = 3
    world.rounds(90)
    world.busy(1, target=1)
    kept = sorted(world.scheduler.workers)[0]
    world.rounds(120)
    assert [task.id for task in world.running] == [kept]
    # A task came to it between the look and the retirement: it is waited for.
    world.busy(0)
    retire = world.scheduler.retire

    def retire_and_run(workers: list[str]) -> frozenset[str]:
        gone = retire(workers)
        world.scheduler.run(kept, 1)
        return gone

    world.scheduler.retire = retire_and_run  # type: ignore[assignment, method-assign]
    world.rounds(60)
    assert len(world.running) == 1, "it still runs something"
    world.scheduler.run(kept, 0)
    world.rounds(20)
    assert world.running == []


def test_killed_between_intention_and_answer_it_neither_leaks_nor_doubles() -> None:
    world = World(workers_min=25)
    for _ in range(3):
        world.ecs.lose_answer("RunTask")
        assert (world.round() or world.round()) is not None
        world.controller = world.start()  # the lease of the one that was killed runs out
        world.now += LEASE_MS / 1000
    world.rounds(120)
    assert len(world.ecs.tasks) == 25
    assert len(world.running) == 25


@pytest.mark.parametrize("writes", range(1, 9))
def test_killed_at_any_write_it_neither_leaks_nor_doubles(writes: int) -> None:
    world = World(workers_min=15)
    world.store.fail_after = writes
    with pytest.raises(StoreUnavailable):
        world.rounds(50)
    world.store.fail_after = None
    world.controller = world.start()
    world.now += LEASE_MS / 1000 + 1
    world.rounds(120)
    assert len(world.running) == len(world.ecs.tasks) == 15


def test_each_launch_is_written_down_before_it_is_made() -> None:
    world = World(workers_min=25)
    run_task, seen = world.ecs.run_task, []

    def watched(**parameters: Any) -> Any:
        seen.append(f"launch:{parameters['clientToken']}" in world.store.notes)
        return run_task(**parameters)

    world.ecs.run_task = watched  # type: ignore[method-assign]
    world.round()
    assert seen == [True] * 3


@pytest.mark.parametrize("code", ["ThrottlingException", "ConflictException"])
def test_a_repeated_launch_that_is_refused_is_still_waited_for(code: str) -> None:
    world = World(workers_min=10)
    world.ecs.service.list_lag = 40.0
    world.ecs.lose_answer("RunTask")
    world.round()
    world.ecs.fail_next("RunTask", code, "not now", 1)
    world.rounds(300)
    assert len(world.ecs.tasks) == 10


def test_killed_before_it_told_a_retired_machine_its_successor_does() -> None:
    world = World(workers_min=0, fluctuation_window=0)
    world.scheduler.target = 3
    world.rounds(90)
    world.busy(0)
    retire = world.scheduler.retire

    def die(workers: Any) -> Any:
        raise StoreUnavailable("killed")

    world.scheduler.retire = die  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        world.rounds(120)
    assert len([name for name in world.store.notes if name.startswith("retire:")]) == 3
    world.scheduler.retire = retire  # type: ignore[method-assign]
    world.busy(3, target=3)  # tasks came to them, since nobody had told them
    world.controller = world.start()
    world.now += LEASE_MS / 1000
    world.rounds(30)
    assert len(world.scheduler.retired) == 3
    assert all(call.operation != "StopTask" for call in world.ecs.calls)
    world.busy(0)
    world.rounds(30)
    assert world.running == []


def test_machines_that_start_while_the_scheduler_is_away_have_their_time_when_it_is_back() -> None:
    world = World(workers_min=9)
    world.life.join = False
    world.rounds(20)
    world.scheduler.away = True
    world.rounds(900)
    world.scheduler.away = False
    world.round()
    world.scheduler.join(*[task.id for task in world.running])
    world.rounds(60)
    assert len(world.ecs.tasks) == 9


def test_a_scheduler_that_fails_to_answer_now_and_then_does_not_keep_machines_that_never_join() -> None:
    world = World(workers_min=4, join_timeout=300)
    world.life.join = False
    for number in range(100):
        world.scheduler.away = number % 20 == 19
        world.round()
    assert world.ecs.count("StopTask") == 4


def test_two_autoscalers_one_acts() -> None:
    world = World(workers_min=5)
    second = world.start()
    world.round()
    assert second.round() is None
    world.rounds(60)
    calls = len(world.ecs.calls)
    assert second.round() is None
    assert len(world.ecs.calls) == calls, "the one that waits asks nobody"
    world.now += LEASE_MS / 1000 + 0.1  # the first one died
    world.ecs.advance()
    assert second.round() is not None
    assert world.controller.round() is None
    second.close()
    assert world.controller.round() is not None, "given back, it is free at once"
    assert len(world.ecs.tasks) == 5


def test_the_lease_lost_in_the_middle_of_a_round_ends_it() -> None:
    world = World(workers_min=30)
    look = world.scheduler.look

    def slowly() -> object:
        world.now += LEASE_MS / 1000 + 1
        world.store.lease("autoscaler", "another", 60_000)
        return look()

    world.scheduler.look = slowly  # type: ignore[assignment, method-assign]
    assert world.round() is None
    assert world.ecs.count("RunTask") == 0


def test_the_scheduler_away_means_hold_and_a_new_one_is_waited_for() -> None:
    world = World(workers_min=2)
    world.scheduler.target = 20
    world.rounds(120)
    world.scheduler.away = True
    world.store.work = backlog({"any": 1_000_000}, any=60_000)
    rounds = world.rounds(1200)
    assert {each.decision.desired for each in rounds} == {None}
    assert len(world.ecs.tasks) == 20
    # It comes back as another one, and the workers join it one after the other within two minutes.
    names = sorted(world.scheduler.workers)
    world.scheduler.away, world.scheduler.id = False, "scheduler-2"
    world.store.work = backlog()
    world.scheduler.leave(*names)
    for name in names:
        world.round()
        world.scheduler.join(name, running=1)
    world.rounds(60)
    assert len(world.ecs.tasks) == 20, "nobody was taken for lost"


def test_no_answer_from_ecs_means_hold() -> None:
    world = World(workers_min=3)
    world.rounds(90)
    world.ecs.fail_next("ListTasks", "ServerException", "service is unavailable", 5)
    rounds = world.rounds(60)
    held = [each for each in rounds if each.decision.desired is None]
    assert held
    assert "service is unavailable" in " ".join(held[0].done.failures)
    assert len(world.running) == len(world.ecs.tasks) == 3


def test_machines_that_never_join_are_replaced_ever_more_slowly() -> None:
    world = World(workers_min=4, join_timeout=120)
    world.life.join = False
    world.rounds(3600)
    assert len(world.running) <= 4
    assert len(world.ecs.tasks) < 4 * 3600 / 120 / 2, "not at full speed"
    world.life.join = True
    world.rounds(1200)
    assert len(world.scheduler.workers) == len(world.running) == 4


def test_machines_that_fail_to_start_are_reported_and_tried_ever_more_slowly() -> None:
    world = World(workers_min=10)
    world.ecs.fail_starts("CannotPullContainerError: no such image")
    rounds = world.rounds(3600)
    reasons = [each.reason for one in rounds if one.snapshot for each in one.snapshot.ended]
    assert any("CannotPullContainerError" in reason for reason in reasons)
    assert len(world.ecs.tasks) < 60
    world.ecs.fail_starts(None)
    world.rounds(900)
    assert len(world.running) == 10


def test_spot_gone_means_on_demand_and_spot_again_when_it_is_back() -> None:
    world = World(workers_min=12, spot_fallback_after=60, spot_retry_after=300, on_demand_base=2)
    world.ecs.set_capacity(SPOT, 0)
    refused = world.rounds(50)
    assert len(world.ecs.tasks) == 2
    assert any("Capacity is unavailable" in text for each in refused for text in each.done.failures)
    world.rounds(120)
    assert [task.pool for task in world.running] == [ON_DEMAND] * 12
    asked = world.ecs.count("RunTask")
    world.rounds(1500)
    assert 3 <= world.ecs.count("RunTask") - asked <= 6, "one machine is tried now and then"
    assert len(world.running) == 12
    world.ecs.set_capacity(SPOT, None)
    fewest = 99
    for _ in range(150):
        world.round()
        fewest = min(fewest, sum(not each.leaving for each in world.scheduler.workers.values()))
    assert fewest == 12, "never fewer than the work needs"
    assert sum(task.spot for task in world.running) == 10
    assert len(world.running) == 12


def test_spot_that_goes_again_in_the_middle_leaves_the_others_alone() -> None:
    world = World(workers_min=12, spot_fallback_after=0, spot_retry_after=60)
    world.ecs.set_capacity(SPOT, 0)
    world.rounds(120)
    world.ecs.set_capacity(SPOT, 4)
    world.rounds(1200)
    assert len([task for task in world.running if task.desired == "RUNNING"]) == 12
    assert sum(task.spot for task in world.running) == 4


def test_a_base_of_on_demand_machines() -> None:
    world = World(workers_min=8, on_demand_base=3)
    world.rounds(120)
    assert sum(not task.spot for task in world.running) == 3
    assert sum(task.spot for task in world.running) == 5
    world.scheduler.target = 20
    world.rounds(120)
    assert sum(not task.spot for task in world.running) == 3


def test_a_spot_storm_is_replaced_at_once() -> None:
    world = World(workers_min=30)
    world.rounds(120)
    world.ecs.reclaim(1 / 3)
    rounds = world.rounds(20)
    assert sum(len(ids) for each in rounds for ids in each.done.launched.values()) == 10
    world.rounds(200)
    assert len(world.running) == 30
    assert len(world.ecs.tasks) == 40


def test_new_code_replaces_old_without_a_gap() -> None:
    world = World(workers_min=6)
    world.rounds(120)
    world.busy(6)
    world.controller.close()
    world.controller = world.start(worker_task_definition="worker:2")
    fewest = 99
    for _ in range(60):
        world.round()
        fewest = min(fewest, len([w for w in world.scheduler.workers.values() if not w.leaving]))
        for name, each in list(world.scheduler.workers.items()):
            if each.leaving:
                world.scheduler.run(name, 0)
    assert fewest >= 6
    assert {task.definition.revision for task in world.running} == {2}
    assert len(world.running) == 6
    assert len(world.ecs.tasks) == 12


def test_new_code_that_does_not_start_leaves_the_old_alone() -> None:
    world = World(workers_min=6)
    world.rounds(120)
    world.controller.close()
    world.controller = world.start(worker_task_definition="worker:2")
    world.ecs.fail_starts("CannotPullContainerError: no such image")
    world.rounds(1800)
    assert len([task for task in world.running if task.definition.revision == 1]) == 6


def test_observing_only_decides_and_does_nothing() -> None:
    world = World(workers_min=3, observe_only=True)
    world.scheduler.target = 40
    rounds = world.rounds(120)
    assert {each.decision.desired for each in rounds} == {40}
    assert {each.plan.launch for each in rounds} == {40}
    assert {call.operation for call in world.ecs.calls} <= {"ListTasks", "DescribeTasks"}
    assert world.store.notes == {}


def test_tasks_of_others_are_left_alone() -> None:
    world = World(workers_min=1)
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
    for starter in ("tidegate/other", "somebody"):
        world.ecs.run_task(
            cluster="tidegate",
            taskDefinition="worker:1",
            count=3,
            startedBy=starter,
            networkConfiguration=network,
            capacityProviderStrategy=[{"capacityProvider": SPOT, "weight": 1}],
        )
    world.rounds(600)
    assert len(world.running) == 6 + 1
    assert all(call.operation != "StopTask" for call in world.ecs.calls)


def test_throttled_it_goes_on_later_and_starts_no_more_than_needed() -> None:
    world = World(workers_min=60)
    world.ecs.fail_next("RunTask", "ThrottlingException", "Rate exceeded", 3)
    rounds = world.rounds(600)
    assert any("Rate exceeded" in text for each in rounds for text in each.done.failures)
    assert len(world.running) == len(world.ecs.tasks) == 60


def test_a_refused_retirement_leaves_the_machine_at_work() -> None:
    world = World(workers_min=0)
    world.scheduler.target = 1
    world.rounds(90)
    (name,) = world.scheduler.workers
    world.scheduler.keeps = {world.scheduler.workers[name].address}
    world.scheduler.target = 0
    rounds = world.rounds(60)
    assert any("keeps 1 machines" in text for each in rounds for text in each.done.failures)
    assert len(world.running) == 1
    assert world.store.notes == {}
    world.scheduler.keeps = set()
    world.rounds(30)
    assert world.running == []


def test_a_machine_that_is_refused_in_part_is_replaced_and_leaves_once_it_may() -> None:
    world = World(workers_min=0, worker_processes=2)
    world.scheduler.target = 1
    world.rounds(90)
    (name,) = world.scheduler.workers
    world.scheduler.leave(name)
    for process in range(2):
        world.scheduler.workers[f"{name}-{process}"] = worker(name, address=f"tcp://{process}")
    world.scheduler.keeps = {"tcp://1"}
    world.scheduler.target = 0
    rounds = world.rounds(60)
    assert any("keeps 1 machines" in text for each in rounds for text in each.done.failures)
    assert list(world.store.notes) == [f"retire:{name}"]
    assert all(call.operation != "StopTask" for call in world.ecs.calls)
    # One process of it runs something, and one task more waits.
    world.scheduler.run(f"{name}-1", 1)
    world.scheduler.target = 2
    world.rounds(20)
    assert len(world.ecs.tasks) == 2, "the process that takes nothing new is not counted on"
    world.rounds(60)
    world.scheduler.run(f"{name}-1", 0)
    world.scheduler.keeps = set()
    world.scheduler.target = 1
    world.rounds(20)
    assert name not in {task.id for task in world.running}
    assert (len(world.running), world.store.notes) == (1, {})


def test_a_day_of_changing_load_stays_within_its_bounds() -> None:
    world = World(workers_min=2, workers_max=40, fluctuation_window=120)
    demand = [0, 5, 60, 38, 10, 0, 25, 3, 0, 1]
    for wanted in demand * 3:
        for _ in range(int(600 / STEP)):
            world.busy(min(wanted, len(world.scheduler.workers)), target=wanted)
            world.round()
            view = [task for task in world.ecs.running() if task.desired == "RUNNING"]
            assert len(view) <= 40
        assert len(world.running) >= min(max(wanted, 2), 40)
        stopping = [m for m in world.running if m.desired != "RUNNING"]
        assert len(world.running) - len(stopping) <= min(max(wanted, 2), 40) + 10
