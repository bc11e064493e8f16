"""What CloudWatch is told of rounds: exactly the table's metrics, hours that add up, silence when standing by."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from services.autoscaler.controller import Round
from services.autoscaler.embedded import Embedded
from services.autoscaler.emitted import EMITTED
from services.autoscaler.loop import Loop
from services.autoscaler.metrics import Metrics
from services.autoscaler.model import Capacity, Machine, Phase
from services.autoscaler.report import Report
from services.compute.emf import Emitter
from services.compute.errors import StoreUnavailable
from services.compute.settings import MetricsSettings
from tests.harness.emf import read_all
from tests.unit.autoscaler.test_report import Documents, ScriptedController, round_
from tests.unit.autoscaler.worlds import NOW, machine

MINUTE = 60.0


class World:
    """An embedded report over a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.out = io.StringIO()
        self.embedded = Embedded(Emitter(MetricsSettings(metrics_emf=True), EMITTED, self.out, lambda: self.now))
        monkeypatch.setattr("tests.harness.emf.time.time", lambda: self.now)

    def told(self) -> dict[str, list[float]]:
        """What was written since the last look."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return read_all(text.splitlines(), EMITTED)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def seen_at(now: float, round_: Round, *machines: Machine) -> Round:
    assert round_.snapshot is not None
    members = list(round_.snapshot.members)
    if machines:
        members = [round_.snapshot.members[0]._replace(machine=each) for each in machines]
    return replace(round_, snapshot=replace(round_.snapshot, now=now, members=members))


def test_a_line_has_all_that_the_table_states(world: World) -> None:
    for _ in range(12):
        world.embedded.record(seen_at(world.now, round_(failures=["no"])), 0.25)
        world.now += 5
    told = world.told()
    assert set(told) == set(EMITTED)
    world.now += MINUTE
    world.embedded.record(seen_at(world.now, round_()), 0.5)
    told = world.told()
    assert told["FleetMachines"] == [3]
    assert (told["FleetStarting"], told["FleetJoined"], told["FleetBusy"]) == ([1], [2], [1])
    assert (told["FleetSpot"], told["FleetOnDemand"], told["FleetDesired"]) == ([2], [1], [3])
    assert told["RoundSeconds"][-1] == 0.5


def test_counts_add_up_over_lines(world: World) -> None:
    totals = dict.fromkeys(("Rounds", "RoundsDecided", "Failures"), 0.0)
    for number in range(60):
        if number % 10 == 0:
            world.embedded.failed(0.1)
        else:
            failures = ["no", "nor that"] if number % 10 == 7 else []
            held = number % 10 == 5
            world.embedded.record(seen_at(world.now, round_(None if held else 3, failures=failures)), 0.1)
        world.now += 5
    world.now += MINUTE
    world.embedded.failed(0.1)
    told = world.told()
    for name in totals:
        totals[name] = sum(told[name])
    assert totals == {"Rounds": 61, "RoundsDecided": 48, "Failures": 7 + 12}
    assert len(told["RoundSeconds"]) == 61
    assert "FleetDesired" not in told or len(told["FleetDesired"]) <= len(told["Rounds"])


def test_hours_are_those_that_are_billed(world: World) -> None:
    start = world.now
    spot = machine("a")
    pulled = machine("b", billed_from=start + 1800, capacity=Capacity.ON_DEMAND)
    unpulled = machine("c", phase=Phase.STARTING, billed_from=None)
    while world.now <= start + 3600:
        world.embedded.record(seen_at(world.now, round_(), spot, pulled, unpulled), 0.1)
        world.now += 7
    world.now += MINUTE
    world.embedded.failed(0.1)
    told = world.told()
    assert sum(told["WorkerHoursSpot"]) == pytest.approx(1.0, rel=0.01)
    assert sum(told["WorkerHoursOnDemand"]) == pytest.approx(0.5, rel=0.01)


def test_what_was_not_looked_at_is_not_counted(world: World) -> None:
    for pause in (5.0, 3600.0, 5.0):
        world.embedded.record(seen_at(world.now, round_()), 0.1)
        world.now += pause
    world.embedded.record(seen_at(world.now, round_()), 0.1)
    world.now += MINUTE
    world.embedded.failed(0.1)
    assert sum(world.told()["WorkerHoursSpot"]) == pytest.approx(2 * 10 / 3600, rel=0.001)


def test_who_stands_by_is_silent(world: World) -> None:
    world.embedded.record(seen_at(world.now, round_()), 0.1)
    for _ in range(10):
        world.now += 6
        world.embedded.standing_by()
    assert world.told() == {}
    world.embedded.record(seen_at(world.now, round_()), 0.1)
    assert world.told()["WorkerHoursSpot"] == [0], "another one has told of the time before"


def test_a_fleet_that_is_held_has_no_desired_size(world: World) -> None:
    world.now += MINUTE
    world.embedded.record(seen_at(world.now, round_(None)), 0.1)
    told = world.told()
    assert told["RoundsDecided"] == [0]
    assert "FleetDesired" not in told
    assert told["FleetMachines"] == [3]


def test_the_loop_tells_of_rounds_of_every_kind(world: World) -> None:
    controller = ScriptedController(StoreUnavailable("away"), ValueError("a fault"), round_(), None, round_(), round_())
    loop = Loop(
        controller,  # type: ignore[arg-type]
        Documents(),  # type: ignore[arg-type]
        Report(observe_only=False),
        Metrics(),
        0.01,
        embedded=world.embedded,
    )
    controller.loop = loop
    original, world_now = controller.round, [0.0]

    def minutely() -> Round | None:
        world.now += MINUTE
        world_now[0] = world.now
        return original()

    controller.round = minutely  # type: ignore[method-assign]
    loop.run()
    told = world.told()
    assert told["Rounds"] == [1, 1, 1, 1, 1], "every round but that of standing by"
    assert told["Failures"] == [1, 1, 0, 0, 0]
    assert told["RoundsDecided"] == [0, 0, 1, 1, 1]
