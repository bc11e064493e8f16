"""The stack's own work, with small scripts as its parts: they take milliseconds to start."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.local.directory import DataDirectory
from services.local.errors import PartFailed
from services.local.parts import Plan
from services.local.process import LOG_LIMIT, Part, PartProcess
from services.local.stack import Stack
from tests.harness.process import alive
from tests.harness.waiting import eventually

# Writes its process id when it is up, and its name to `order` when it is told to end.
SCRIPT = """
import os, pathlib, signal, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def end(*_):
    with (folder / "order").open("a") as order:
        order.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
{extra}
(folder / name).write_text(str(os.getpid()))
while True:
    time.sleep(1)
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
CRASHING = "print('no luck today', flush=True); sys.exit(3)"
PARENT = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
(folder / "child").write_text(str(child.pid))
"""


class House:
    """Parts that are scripts, in a data directory of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []

    def part(self, name: str, extra: str = "", stop_timeout: float = 10.0) -> Part:
        async def ready() -> bool:
            return (self.path / name).exists()

        command = (sys.executable, "-I", "-S", "-c", SCRIPT.format(extra=extra), str(self.path), name)
        return Part(name, command, dict(os.environ), ready, stop_timeout)

    def pid(self, name: str) -> int:
        return int((self.path / name).read_text())

    def order(self) -> list[str]:
        return (self.path / "order").read_text().split()

    @asynccontextmanager
    async def stack(self, *parts: Part, server: Part | None = None) -> AsyncIterator[Stack]:
        directory = DataDirectory(self.path / "data")
        stack = Stack(Plan(server, parts, "", "", ""), directory, self.said.append)
        try:
            yield stack
        finally:
            await stack.stop()
            directory.close()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_parts_end_in_order_and_the_server_last(house: House) -> None:
    async with house.stack(house.part("api"), house.part("worker"), server=house.part("valkey")) as stack:
        await stack.start(20)
        pids = [house.pid(name) for name in ("valkey", "api", "worker")]
    assert house.order() == ["api", "worker", "valkey"]
    assert not any(alive(pid) for pid in pids)


async def test_a_part_that_ends_while_starting_is_told_with_its_log(house: House) -> None:
    async with house.stack(house.part("api"), house.part("worker", CRASHING)) as stack:
        with pytest.raises(PartFailed, match=r"(?s)worker ended while starting \(exit status 3\).*no luck today"):
            await stack.start(20)


async def test_a_part_that_is_never_ready_is_told(house: House) -> None:
    async with house.stack(house.part("api", "time.sleep(1000)")) as stack:
        with pytest.raises(PartFailed, match=r"api was not ready within 0\.5 s \(LOCAL_START_TIMEOUT"):
            await stack.start(0.5)


async def test_a_program_that_is_not_there_is_told(house: House) -> None:
    part = house.part("api")
    missing = Part("api", ("/does/not/exist",), part.environment, part.ready, 1)
    async with house.stack(missing) as stack:
        with pytest.raises(PartFailed, match=r"api cannot be started"):
            await stack.start(1)


async def test_a_part_that_dies_is_started_again(house: House) -> None:
    async with house.stack(house.part("api"), house.part("worker")) as stack:
        await stack.start(20)
        watching = asyncio.create_task(stack.watch())
        first = house.pid("worker")
        os.kill(first, signal.SIGKILL)
        await until(lambda: house.pid("worker") != first)
        watching.cancel()
        assert alive(house.pid("worker"))
    assert house.said == ["worker ended (killed by SIGKILL), starting again in 0.5 s"]


async def test_a_part_that_keeps_dying_ends_the_stack(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.local.stack.BACKOFF_MAX", 0.01)
    monkeypatch.setattr("services.local.stack.WATCH_EVERY", 0.01)
    dying = "(folder / name).touch(); " + CRASHING
    async with house.stack(house.part("worker", dying)) as stack:
        (house.path / "worker").touch()
        await stack.start(20)
        async with asyncio.timeout(30):
            with pytest.raises(PartFailed, match=r"(?s)worker ended 5 times .*exit status 3.*no luck today"):
                await stack.watch()
    assert len(house.said) == 4


async def test_a_part_that_cannot_work_as_set_is_not_started_again(house: House) -> None:
    later = "(folder / name).touch(); time.sleep(0.3); print('MODULES: no such thing', flush=True); sys.exit(78)"
    async with house.stack(house.part("worker", later)) as stack:
        await stack.start(20)
        async with asyncio.timeout(10):
            with pytest.raises(PartFailed, match=r"(?s)worker cannot work as it is set.*no such thing"):
                await stack.watch()
    assert house.said == []


async def test_what_does_not_end_in_time_is_killed(house: House) -> None:
    async with house.stack(house.part("worker", STUBBORN, stop_timeout=0.3)) as stack:
        await stack.start(20)
    assert not alive(house.pid("worker"))
    assert house.said == ["worker was killed: it did not end by itself in time"]


async def test_a_second_signal_does_not_wait(house: House) -> None:
    async with house.stack(house.part("worker", STUBBORN, stop_timeout=1000)) as stack:
        await stack.start(20)
        stack.hurry()
    assert not alive(house.pid("worker"))


async def test_children_of_a_part_end_with_it(house: House) -> None:
    async with house.stack(house.part("worker", PARENT)) as stack:
        await stack.start(20)
        child = house.pid("child")
        assert alive(child)
    await until(lambda: not alive(child))


async def test_without_its_guard_the_stack_ends(house: House) -> None:
    async with house.stack(house.part("api")) as stack:
        await stack.start(20)
        living = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        guards = [p for p in living if any("guard.py" in word for word in p.cmdline())]
        guards[0].kill()
        async with asyncio.timeout(10):
            with pytest.raises(PartFailed, match="guard process was killed"):
                await stack.watch()
    assert not alive(house.pid("api"))


def test_a_stack_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = """
        import asyncio, pathlib, sys
        from services.local.process import Part
        from tests.unit.local.test_stack import House, PARENT
        async def main():
            house = House(pathlib.Path(sys.argv[1]))
            async with house.stack(house.part("api"), house.part("worker", PARENT), server=house.part("valkey")) as s:
                await s.start(20)
                (house.path / "up").touch()
                await asyncio.sleep(1000)
        asyncio.run(main())
    """
    stack = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)])
    try:
        eventually((tmp_path / "up").exists, "the stack is up", seconds=30)
        family = psutil.Process(stack.pid).children(recursive=True)
        assert len(family) == 5, "guard, three parts, and the child of one"
    finally:
        stack.kill()
        stack.wait()
    eventually(lambda: not any(alive(process.pid) for process in family), "all processes are gone")
    DataDirectory(tmp_path / "data").close()


def test_logs_stay_bounded(house: House) -> None:
    log = house.path / "api.log"
    log.write_text("of an earlier run")
    process = PartProcess(house.part("api"), log, guard=None)  # type: ignore[arg-type]
    assert (house.path / "api.log.1").read_text() == "of an earlier run"
    log.touch()
    os.truncate(log, LOG_LIMIT + 1)
    process.trim_log()
    assert log.stat().st_size == 0
    assert (house.path / "api.log.1").stat().st_size == LOG_LIMIT + 1
