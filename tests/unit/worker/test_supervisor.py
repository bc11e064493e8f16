"""The supervisor's decisions, with processes that only pretend and a clock that does not run."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from services.worker.board import Board
from services.worker.exits import DRAINED, KILLED, MISCONFIGURED, NO_SCHEDULER, REPLACE
from services.worker.supervisor import KILL_MARGIN_S, Supervisor, pause

SIGKILLED = -9


class FakeProcess:
    """A process that ends when the test says so, or when it is killed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.status

    def send_signal(self, sig: int) -> None:
        self.signals.append(sig)
        if sig == signal.SIGKILL:
            self.status = SIGKILLED


class World:
    """Two places, all started processes, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.started: list[tuple[int, FakeProcess]] = []
        self.boards: list[Board] = []
        self.supervisor = Supervisor(2, self.spawn, 10.0, clock=lambda: self.now, boards=self.board)

    def board(self) -> Board:
        self.boards.append(Board.create())
        return self.boards[-1]

    def spawn(self, index: int, board: Board) -> FakeProcess:
        process = FakeProcess(5000 + len(self.started))
        self.started.append((index, process))
        return process

    def step(self, seconds: float = 0.0) -> bool:
        self.now += seconds
        return self.supervisor.step()

    def last(self, index: int) -> FakeProcess:
        return [process for place, process in self.started if place == index][-1]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.step()
    yield world
    for board in world.boards:
        board.close()


def test_a_killed_process_is_replaced_promptly_and_a_dying_one_ever_more_slowly(world: World) -> None:
    world.last(0).status = SIGKILLED
    world.step()
    world.step(0.3)
    assert [index for index, _ in world.started] == [0, 1, 0]
    for _ in range(20):
        world.last(0).status = 1
        world.step()
        world.step(1.0)
    assert len(world.started) < 10


def test_a_process_to_be_replaced_is_replaced_at_once(world: World) -> None:
    world.last(1).status = REPLACE
    world.step()
    assert [index for index, _ in world.started] == [0, 1, 1]


def test_a_deadline_that_passed_unhandled_kills_that_process_only(world: World) -> None:
    world.boards[0].deadlines[7] = world.now + 1
    world.boards[1].deadlines[7] = world.now + 100
    world.step(1.9)
    assert world.last(0).signals == []
    world.step(0.2)
    assert world.last(0).signals == [signal.SIGKILL]
    assert world.last(1).signals == []
    world.step()
    assert list(world.boards[0].deadlines) == [0.0] * len(world.boards[0].deadlines)
    world.step(0.3)
    assert [index for index, _ in world.started] == [0, 1, 0]


def test_a_process_that_does_not_leave_when_it_said_is_killed(world: World) -> None:
    world.boards[0].gone_by = world.now + 5
    world.step(4.9)
    assert world.last(0).signals == []
    world.step(0.2)
    assert world.last(0).signals == [signal.SIGKILL]


def test_a_stop_is_passed_on_and_nothing_is_started_again(world: World) -> None:
    world.supervisor.stop()
    assert world.step()
    assert world.last(0).signals == [signal.SIGTERM]
    world.last(0).status = 0
    assert world.step(1)
    world.last(1).status = 0
    assert not world.step(5)
    assert len(world.started) == 2
    assert world.supervisor.status == DRAINED


def test_a_second_stop_kills(world: World) -> None:
    world.supervisor.stop()
    world.step()
    world.supervisor.stop()
    world.step()
    assert world.last(0).signals == [signal.SIGTERM, signal.SIGKILL]
    assert not world.step()
    assert world.supervisor.status == KILLED


def test_what_does_not_leave_in_time_is_killed(world: World) -> None:
    world.supervisor.stop()
    world.step()
    assert world.step(10.0 + KILL_MARGIN_S - 1)
    world.step(2)
    assert world.last(1).signals == [signal.SIGTERM, signal.SIGKILL]
    assert not world.step()


def test_a_wrong_setting_ends_everything(world: World) -> None:
    world.last(0).status = MISCONFIGURED
    world.step()
    assert world.last(1).signals == [signal.SIGTERM]
    world.last(1).status = 0
    assert not world.step()
    assert world.supervisor.status == MISCONFIGURED


def test_without_a_scheduler_for_all_it_ends_with_status_1(world: World) -> None:
    world.last(0).status = NO_SCHEDULER
    assert world.step(1)
    world.last(1).status = NO_SCHEDULER
    assert not world.step(1)
    assert world.supervisor.status == 1


def test_without_a_scheduler_for_one_it_is_tried_again(world: World) -> None:
    world.last(0).status = NO_SCHEDULER
    world.step()
    world.step(6)
    assert [index for index, _ in world.started] == [0, 1, 0]


def test_pauses_are_bounded() -> None:
    assert pause(SIGKILLED, 1) <= 0.25
    assert pause(1, 1000) <= 40
