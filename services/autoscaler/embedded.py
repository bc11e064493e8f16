"""The autoscaler's metrics for CloudWatch: taken in round by round, written at most once in each interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.autoscaler.controller import Round
from services.autoscaler.model import Capacity
from services.autoscaler.observe import Snapshot
from services.autoscaler.report import observed
from services.compute.emf import Emitter, Sample

ROUNDS_MAX: Final = 200
"""Times of rounds in one line, at most."""
GAP_MAX_S: Final = 120.0
"""Machines that were not looked at for longer are not billed to the hours: nobody knows how many there were."""
_FLEET: Final = {
    "FleetMachines": "machines",
    "FleetStarting": "starting",
    "FleetJoined": "joined",
    "FleetBusy": "busy",
    "FleetRetiring": "retiring",
    "FleetStopping": "stopping",
    "FleetSpot": "spot",
    "FleetOnDemand": "on_demand",
}
_HOURS: Final = {Capacity.SPOT: "WorkerHoursSpot", Capacity.ON_DEMAND: "WorkerHoursOnDemand"}


class Embedded:
    """What was seen since the last line.

    Args:
        emitter: writes lines.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._seconds = Sample(ROUNDS_MAX)
        self._looked_at: float | None = None
        self._forget()

    def _forget(self) -> None:
        self._rounds = self._decided = self._failures = 0
        self._desired: int | None = None
        self._seen: dict[str, float] = {}
        self._hours = dict.fromkeys(_HOURS, 0.0)

    def standing_by(self) -> None:
        """Another process acts, and tells."""
        self._forget()
        self._seconds.take()
        self._looked_at = None

    def failed(self, seconds: float) -> None:
        """A round ended in an exception."""
        self._count(seconds)
        self._failures += 1
        self._tell()

    def record(self, round_: Round, seconds: float) -> None:
        """Take in a round."""
        self._count(seconds)
        self._decided += round_.decision.desired is not None
        self._failures += len(round_.done.failures)
        self._desired = round_.decision.desired
        if round_.snapshot is not None:
            self._look(round_.snapshot)
        self._tell()

    def _count(self, seconds: float) -> None:
        self._rounds += 1
        self._seconds.add(seconds)

    def _look(self, snapshot: Snapshot) -> None:
        seen = observed(snapshot)
        self._seen = {metric: seen[name] for metric, name in _FLEET.items()}
        before, self._looked_at = self._looked_at, snapshot.now
        if before is None or not 0.0 < snapshot.now - before <= GAP_MAX_S:
            return
        for member in snapshot.members:
            machine = member.machine
            if machine.billed_from is not None:
                billed = snapshot.now - max(before, machine.billed_from)
                self._hours[machine.capacity] += max(0.0, billed) / 3600

    def _tell(self) -> None:
        if not self._emitter.due():
            return
        values: dict[str, float | Sequence[float]] = {
            "Rounds": self._rounds,
            "RoundsDecided": self._decided,
            "RoundSeconds": self._seconds.take(),
            "Failures": self._failures,
            **self._seen,
            **{metric: self._hours[capacity] for capacity, metric in _HOURS.items()},
        }
        if self._desired is not None:
            values["FleetDesired"] = self._desired
        self._emitter.emit(values)
        self._forget()
