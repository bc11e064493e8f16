"""The fleet of processes: starts, drains, kills what does not drain, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.autoscaler.fleet.local import LocalFleet
from services.autoscaler.model import Capacity, Ending, Launch, Phase
from services.autoscaler.settings import LocalFleetSettings
from tests.harness.process import alive
from tests.harness.waiting import eventually

MACHINE = """
import os, pathlib, signal, sys, time
here = pathlib.Path(os.environ["HERE"]) / os.environ["WORKER_NAME"]
def leave(*_):
    if "STUBBORN" not in os.environ:
        print("leaves", flush=True)
        sys.exit(0)
signal.signal(signal.SIGTERM, leave)
here.write_text(str(os.getpid()))
life = int(sys.argv[sys.argv.index("--life") + 1])
while "LIFE" not in os.environ or os.read(life, 1):
    time.sleep(0.02)
"""


def fleet(directory: Path, *, grace: float = 5.0, **environment: str) -> LocalFleet:
    settings = LocalFleetSettings(local_fleet_log=directory / "workers.log", worker_grace=grace)
    own = {"PATH": os.environ["PATH"], "HERE": str(directory), **environment}
    return LocalFleet(settings, own, [sys.executable, "-c", MACHINE])


@pytest.fixture
def made(tmp_path: Path) -> Iterator[LocalFleet]:
    one = fleet(tmp_path)
    yield one
    one.close()


def launch(count: int, token: str = "t") -> Launch:
    return Launch(token, count, Capacity.SPOT, "local", 0.0)


def pid(directory: Path, machine: str) -> int:
    file = directory / machine
    return int(eventually(lambda: file.read_text() if file.exists() else "", f"{machine} has started"))


def test_machines_start_stop_and_are_told_gone_once(made: LocalFleet, tmp_path: Path) -> None:
    ids = made.launch(launch(2)).ids
    assert made.launch(launch(2)).ids == ids, "the same launch again"
    assert {machine.id for machine in made.observe().machines} == set(ids)
    pids = [pid(tmp_path, machine) for machine in ids]
    made.stop(ids[0], "idle")
    phases = {machine.id: machine.phase for machine in made.observe().machines}
    assert phases.get(ids[0], Phase.STOPPING) is Phase.STOPPING
    eventually(lambda: not alive(pids[0]), "it has left")
    ended = eventually(lambda: made.observe().ended, "its end is told")
    assert [(each.id, each.ending) for each in ended] == [(ids[0], Ending.STOPPED)]
    assert not made.observe().ended
    os.kill(pids[1], signal.SIGKILL)
    ended = eventually(lambda: made.observe().ended, "its end is told")
    assert [(each.id, each.ending) for each in ended] == [(ids[1], Ending.EXITED)]
    assert "leaves" in (tmp_path / "workers.log").read_text()
    made.stop(ids[0], "gone already")


def test_closing_drains_and_kills_what_does_not_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.autoscaler.fleet.local.STOP_MARGIN_S", 0.5)
    stubborn = fleet(tmp_path, grace=0.0, STUBBORN="1")
    ids = stubborn.launch(launch(2)).ids
    pids = [pid(tmp_path, machine) for machine in ids]
    stubborn.close()
    assert not any(alive(each) for each in pids)


def test_machines_of_a_predecessor_are_told_gone(made: LocalFleet) -> None:
    assert [each.id for each in made.observe(["local-before"]).ended] == ["local-before"]


def test_a_command_that_cannot_be_started_is_a_reason(tmp_path: Path) -> None:
    broken = LocalFleet(LocalFleetSettings(), {}, ["/nowhere/worker"])
    launched = broken.launch(launch(1))
    assert launched.ids == ()
    assert "cannot be started" in launched.refused[0]
    broken.close()


def test_no_machine_outlives_its_autoscaler(tmp_path: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from tests.unit.autoscaler.test_local_fleet import fleet, launch
made = fleet(Path({str(tmp_path)!r}), LIFE="1")
print(made.launch(launch(1)).ids[0], flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        process = pid(tmp_path, holder.stdout.readline().strip())
        assert alive(process)
        holder.kill()
    eventually(lambda: not alive(process), "it has ended with its parent")
