"""Keeps a machine's worker processes running, and ends them in order.

One thread, one loop, no Dask and no Redis: it must work when everything else does not. It starts processes again,
kills those that let a deadline pass without acting (code that holds the GIL), passes SIGTERM on, and collects whatever
ends, as process 1 of a container has to.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

import structlog

from services.worker.board import Board
from services.worker.exits import DRAINED, KILLED, MISCONFIGURED, NO_SCHEDULER, REPLACE

log = structlog.get_logger(__name__)

TICK_S: Final = 0.1
TOLERANCE_S: Final = 1.0
"""A process has this long after a deadline to act; then it cannot."""
FIRST_PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 30.0
NO_SCHEDULER_PAUSE_S: Final = 5.0
SETTLED_S: Final = 60.0
"""A process that lived this long died for a reason of its own: the next one starts at once again."""
KILL_MARGIN_S: Final = 20.0
"""Beyond the grace, until the supervisor kills what should have left."""


class Process(Protocol):
    """A started worker process (`subprocess.Popen`)."""

    pid: int

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""


@dataclass(slots=True)
class Child:
    """One place for a worker process.

    Attributes:
        index: number of the place.
        board: memory shared with the process.
        process: what runs there now.
        started: when it was started (clock seconds).
        start_at: when the next one starts; None for never.
        deaths: in a row, of processes that did not live long.
        status: how the last one ended.
    """

    index: int
    board: Board
    process: Process | None = None
    started: float = 0.0
    start_at: float | None = 0.0
    deaths: int = 0
    status: int | None = None
    killed: bool = field(default=False)


class Supervisor:
    """Supervises `processes` worker processes.

    Args:
        processes: how many.
        spawn: starts the process of a place.
        grace: seconds that a process may take to leave after SIGTERM.
        clock: seconds of CLOCK_MONOTONIC, as on the boards.
        boards: makes the shared memory of a place.
    """

    def __init__(
        self,
        processes: int,
        spawn: Callable[[int, Board], Process],
        grace: float,
        clock: Callable[[], float] = time.monotonic,
        boards: Callable[[], Board] = Board.create,
    ) -> None:
        self._spawn = spawn
        self._grace = grace
        self._clock = clock
        self._children = [Child(index, boards()) for index in range(processes)]
        self._stops = 0
        self._stop_by: float | None = None
        self.status = DRAINED

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT and the end of all processes; the exit status."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)
        # Any handler: without one the end of a process would not wake the loop.
        signal.signal(signal.SIGCHLD, _nothing)
        while self.step():
            ready, _, _ = select.select([reader], [], [], TICK_S)
            if ready:
                os.read(reader, 512)
        return self.status

    def _asked(self, _: int, __: FrameType | None) -> None:
        self._stops += 1

    def stop(self) -> None:
        """Ask for the end, as SIGTERM does; a second time kills."""
        self._stops += 1

    def step(self) -> bool:
        """Look after everything once; False when all is over."""
        now = self._clock()
        for child in self._children:
            self._collect(child, now)
        reap_orphans({child.process.pid for child in self._children if child.process is not None})
        self._give_up_without_scheduler()
        if self._stops and self._stop_by is None:
            self._begin_stop(now)
        for child in self._children:
            self._look_after(child, now)
        return self._stop_by is None or any(child.process is not None for child in self._children)

    def _collect(self, child: Child, now: float) -> None:
        """Notice that a process has ended, and decide when the next one starts."""
        if child.process is None:
            return
        status = child.process.poll()
        if status is None:
            return
        lived = now - child.started
        log.info(
            "worker process ended", process=child.index, pid=child.process.pid, status=status, lived=round(lived, 1)
        )
        child.process = None
        child.status = status
        child.killed = False
        child.board.clear()
        if status == MISCONFIGURED:
            self.status = MISCONFIGURED
            self._stops = max(1, self._stops)
        child.deaths = 0 if status == REPLACE or lived >= SETTLED_S else child.deaths + 1
        child.start_at = now + pause(status, child.deaths)

    def _give_up_without_scheduler(self) -> None:
        if self._stop_by is None and all(c.process is None and c.status == NO_SCHEDULER for c in self._children):
            log.error("no worker process found a scheduler")
            self.status = 1
            self._stops = max(1, self._stops)

    def _begin_stop(self, now: float) -> None:
        self._stop_by = now + self._grace + KILL_MARGIN_S
        log.info("worker leaves", grace=self._grace)
        for child in self._children:
            child.start_at = None
            if child.process is not None:
                child.process.send_signal(signal.SIGTERM)

    def _look_after(self, child: Child, now: float) -> None:
        if self._stop_by is not None:
            child.start_at = None
            if self._stops > 1 or now >= self._stop_by:
                self._kill(child, "asked a second time" if self._stops > 1 else "did not leave in time")
                self.status = self.status or KILLED
        if child.process is None:
            if child.start_at is not None and now >= child.start_at:
                child.start_at = None
                child.started = now
                child.process = self._spawn(child.index, child.board)
        elif child.board.late(now, TOLERANCE_S):
            self._kill(child, "a deadline passed and it did not act: its code holds the GIL, or it hangs")

    def _kill(self, child: Child, why: str) -> None:
        if child.process is not None and not child.killed:
            child.killed = True
            log.warning("worker process is killed", process=child.index, pid=child.process.pid, why=why)
            child.process.send_signal(signal.SIGKILL)


def pause(status: int, deaths: int) -> float:
    """Seconds until the next process starts in a place where one ended with `status`, the `deaths`-th in a row."""
    if status == REPLACE:
        return 0.0
    if status == NO_SCHEDULER:
        return NO_SCHEDULER_PAUSE_S
    doubled: float = min(PAUSE_MAX_S, FIRST_PAUSE_S * 2.0 ** min(max(0, deaths - 1), 10))
    return doubled * random.uniform(0.75, 1.25)  # noqa: S311


def reap_orphans(own: set[int]) -> None:
    """Collect ended processes that are not ours: as process 1 we inherit those whose parents have gone."""
    if os.getpid() != 1 or not hasattr(os, "waitid"):
        return
    for _ in range(100):
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return


def spawner(machine: str, directory: Path, life: int) -> Callable[[int, Board], Process]:
    """What starts a worker process: a fresh interpreter, since neither Dask nor threads survive a fork.

    Args:
        machine: names of the processes begin with it.
        directory: where they may spill to.
        life: read end of a pipe whose other end closes with this process.
    """

    def spawn(index: int, board: Board) -> Process:
        command: Sequence[str] = [
            *(sys.executable, "-m", "services.worker.process"),
            *("--name", f"{machine}-{index}", "--board", str(board.fd), "--life", str(life)),
            *("--parent", str(os.getpid()), "--directory", str(directory)),
        ]
        return subprocess.Popen(command, pass_fds=(board.fd, life), stdin=subprocess.DEVNULL)  # noqa: S603

    return spawn


def _nothing(_: int, __: FrameType | None) -> None:
    """Wake up."""
