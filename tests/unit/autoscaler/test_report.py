"""What operators see: the document, the log, the metrics, the loop around it all."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
import structlog

from services.autoscaler.act import LEASE_MS, Done
from services.autoscaler.controller import Round
from services.autoscaler.loop import Loop
from services.autoscaler.market import Market
from services.autoscaler.metrics import HttpServer, Metrics
from services.autoscaler.model import Capacity, Ended, Ending, FleetView, SchedulerView
from services.autoscaler.notes import read
from services.autoscaler.observe import bring_together
from services.autoscaler.policy import Decision
from services.autoscaler.presence import Presence
from services.autoscaler.reconcile import Plan
from services.autoscaler.report import HISTORY_MAX, Report, Teller
from services.autoscaler.starts import Starts
from services.compute.errors import StoreUnavailable
from services.compute.store.types import Depth
from tests.unit.autoscaler.worlds import NOW, backlog, machine, settings, worker


def round_(desired: int | None = 3, plan: str = "", **done: Any) -> Round:
    view = SchedulerView("s1", "tcp://s", 3, [worker("a", 1), worker("b")])
    machines = [machine("a"), machine("b", capacity=Capacity.ON_DEMAND), machine("c")]
    ended = [Ended("d", Ending.RECLAIMED, Capacity.SPOT, "Spot interruption", NOW)]
    snapshot = bring_together(
        NOW, FleetView(machines, ended), view, backlog({"x": 4}, flight=2), read({})[0], Presence()
    )
    return Round(snapshot, Decision(desired, "work needs 3"), Plan(reason=plan), Done(**done), Market(), {})


def test_the_document_says_what_was_seen_decided_and_done() -> None:
    report = Report(observe_only=True)
    made = json.loads(report.document(round_(plan="start 2", launched={Capacity.SPOT: ["x", "y"]}), NOW))
    assert made["updated_at"].startswith("1970-01-12T")
    assert made["observe_only"] is True
    assert (
        made["observed"]
        | {
            "machines": 3,
            "starting": 1,
            "joined": 2,
            "busy": 1,
            "spot": 2,
            "on_demand": 1,
            "waiting": 4,
            "in_flight": 2,
            "dask_target": 3,
        }
        == made["observed"]
    )
    assert made["observed"]["ended"] == ["reclaimed: Spot interruption"]
    assert made["decided"]["desired"] == 3
    assert made["done"]["launched"] == {"spot": 2}
    assert made["reasons"][0]["reason"] == "start 2; work needs 3"
    assert len(made["history"]) == 1


def test_a_round_without_a_view_of_the_fleet() -> None:
    made = json.loads(
        Report(observe_only=False).document(
            Round(
                None,
                Decision(None, "holding"),
                Plan(),
                Done(failures=["no answer"]),
                Market(NOW),
                {Capacity.SPOT: Starts(2)},
            ),
            NOW,
        )
    )
    assert made["observed"] == {}
    assert made["decided"]["desired"] is None
    assert made["done"]["failures"] == ["no answer"]
    assert made["start_failures"] == 2
    assert made["spot_refused_since"] is not None


def test_the_chart_is_bounded_and_survives_a_restart() -> None:
    report = Report(observe_only=False)
    for n in range(HISTORY_MAX + 50):
        text = report.document(round_(n), NOW + 10 * n)
        report.document(round_(n), NOW + 10 * n + 5)  # too soon for a point
    made = json.loads(text)
    assert len(made["history"]) == HISTORY_MAX
    assert made["history"][-1]["desired"] == HISTORY_MAX + 49
    assert len(text) < 150_000
    again = Report(observe_only=False)
    again.restore(text)
    assert len(json.loads(again.document(round_(), NOW + 100_000))["history"]) == HISTORY_MAX
    for broken in (None, b"", b"[]", b'{"history": 3}', b'{"history": [1]}'):
        Report(observe_only=False).restore(broken)


def test_each_new_decision_is_logged_and_a_lasting_one_each_minute() -> None:
    teller = Teller("me")
    with structlog.testing.capture_logs() as lines:
        for at, desired in ((0, 3), (5, 3), (10, 4), (30, 4), (69, 4), (71, 4)):
            teller.tell(round_(desired), NOW + at)
    told = [line for line in lines if line["log_level"] == "info"]
    assert [line["desired"] for line in told] == [3, 4, 4]
    assert told[0]["reason"] == "work needs 3"
    assert (told[0]["waiting"], told[0]["owner"], told[0]["dask_target"]) == (4, "me", 3)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_and_liveness_over_http() -> None:
    metrics, alive = Metrics(), True
    server = HttpServer("127.0.0.1", 0, metrics, lambda: alive)
    try:
        metrics.record(round_(launched={Capacity.SPOT: ["x"]}, retired=["y"]))
        status, text = get(server.port, "/metrics")
        assert status == 200
        for line in (
            "tidegate_fleet_desired 3.0",
            'tidegate_fleet_machines{state="busy"} 1.0',
            'tidegate_fleet_capacity{capacity="on_demand"} 1.0',
            'tidegate_fleet_launched_total{capacity="spot"} 1.0',
            'tidegate_fleet_ended_total{ending="reclaimed"} 1.0',
            "tidegate_fleet_holder 1.0",
        ):
            assert line in text
        assert get(server.port, "/livez")[0] == 200
        alive = False
        assert get(server.port, "/livez")[0] == 503
        assert get(server.port, "/other")[0] == 404
        metrics.standing_by()
        assert "tidegate_fleet_holder 0.0" in get(server.port, "/metrics")[1]
    finally:
        server.close()


class ScriptedController:
    owner = "me"

    def __init__(self, *script: Round | Exception | None) -> None:
        self.script = list(script)
        self.closed = False
        self.loop: Loop | None = None

    def round(self) -> Round | None:
        step = self.script.pop(0)
        if not self.script and self.loop is not None:
            self.loop.stop()
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


class Documents:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.work = Depth(0, 4, 0, 2)

    def depth(self) -> Depth:
        return self.work

    def fleet(self) -> bytes | None:
        return None

    def put_fleet(self, owner: str, document: bytes) -> bool:
        self.written.append(document)
        return True


def test_the_loop_survives_what_goes_wrong_and_gives_the_lease_back() -> None:
    controller = ScriptedController(StoreUnavailable("away"), ValueError("a fault"), round_(), None, round_())
    documents, metrics = Documents(), Metrics()
    loop = Loop(controller, documents, Report(observe_only=False), metrics, 0.01)  # type: ignore[arg-type]
    controller.loop = loop
    with structlog.testing.capture_logs() as lines:
        loop.run()
    assert controller.closed
    assert len(documents.written) == 2
    assert [line["event"] for line in lines if line["log_level"] in ("warning", "error")] == [
        "Redis is away: the fleet is held as it is",
        "a round of the autoscaler failed; it goes on",
    ]
    assert metrics.rounds.labels("failed")._value.get() == 2
    assert metrics.rounds.labels("standby")._value.get() == 1


def test_told_to_stop_it_stops_at_once() -> None:
    controller = ScriptedController(*[round_()] * 3)
    loop = Loop(controller, Documents(), Report(observe_only=False), Metrics(), 60.0)  # type: ignore[arg-type]
    threading.Timer(0.2, loop.stop).start()
    began = time.monotonic()
    loop.run()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("interval", "least", "most"), [(10.0, 1.9, 2.01), (0.5, 0.47, 1.06)])
def test_who_stands_by_looks_for_the_lease_often(interval: float, least: float, most: float) -> None:
    now, rests = 0.0, []
    controller = ScriptedController(None, ValueError("a fault"), None, round_())
    loop = Loop(controller, Documents(), Report(observe_only=False), Metrics(), interval, lambda: now)  # type: ignore[arg-type]

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return not controller.script

    loop._rest = rest  # type: ignore[method-assign]
    loop.run()
    assert all(least <= each <= most for each in rests[1:4]), "also after a look that failed"
    assert rests[4] == pytest.approx(interval, rel=0.06), "now it acts"


def test_an_interval_that_the_lease_would_not_outlast_is_refused() -> None:
    assert settings(autoscaler_interval=10).autoscaler_interval < LEASE_MS / 1000
    with pytest.raises(ValueError, match="autoscaler_interval"):
        settings(autoscaler_interval=10.1)


def test_work_that_comes_brings_the_next_round_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.autoscaler.loop.LOOK_S", 0.02)
    controller = ScriptedController(round_(), round_())
    documents = Documents()
    loop = Loop(controller, documents, Report(observe_only=False), Metrics(), 600.0)  # type: ignore[arg-type]
    controller.loop = loop
    threading.Timer(0.3, lambda: setattr(documents, "work", Depth(0, 100, 0, 2))).start()
    began = time.monotonic()
    loop.run()
    assert 0.25 < time.monotonic() - began < 30
    assert len(documents.written) == 2


def test_a_loop_that_is_stuck_is_not_alive() -> None:
    now = 0.0
    loop = Loop(ScriptedController(), Documents(), Report(observe_only=False), Metrics(), 5.0, lambda: now)  # type: ignore[arg-type]
    assert loop.alive()
    now = 61.0
    assert not loop.alive()


@pytest.mark.parametrize("text", ["start 1", "retire 2"])
def test_reasons_are_told_once(text: str) -> None:
    report = Report(observe_only=False)
    for n in range(5):
        made = json.loads(report.document(round_(plan=text), NOW + n))
    assert len(made["reasons"]) == 1
