"""The metrics that the autoscaler writes for CloudWatch: the one table, from which dashboards and alarms are made.

Nothing is imported but the standard library, so that an infrastructure program can read it without the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_STACK: Final = (("Stack",),)

EMITTED: Final[Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]] = {
    "Rounds": ("Count", _STACK),
    "RoundsDecided": ("Count", _STACK),
    "RoundSeconds": ("Seconds", _STACK),
    "Failures": ("Count", _STACK),
    "FleetDesired": ("Count", _STACK),
    "FleetMachines": ("Count", _STACK),
    "FleetStarting": ("Count", _STACK),
    "FleetJoined": ("Count", _STACK),
    "FleetBusy": ("Count", _STACK),
    "FleetRetiring": ("Count", _STACK),
    "FleetStopping": ("Count", _STACK),
    "FleetSpot": ("Count", _STACK),
    "FleetOnDemand": ("Count", _STACK),
    "WorkerHoursSpot": ("Count", _STACK),
    "WorkerHoursOnDemand": ("Count", _STACK),
}
"""By metric its unit and its dimension sets. Told by the autoscaler at work, not by one that stands by.

Rounds               rounds tried since the last line: when they are missing, the autoscaler is silent
RoundsDecided        of these, rounds that came to a decision; the others failed or held the fleet as it was
RoundSeconds         what each took
Failures             rounds and calls that did not work
FleetDesired         machines that should be; not told while the fleet is held
FleetMachines        machines that are: starting + joined + retiring + stopping, and Spot + on demand
FleetStarting        not joined yet
FleetJoined          at the scheduler
FleetBusy            of these, with a task
FleetRetiring        told to take nothing new
FleetStopping        told to stop, or reclaimed
FleetSpot            on Spot
FleetOnDemand        on demand
WorkerHoursSpot      hours of billed machines on Spot since the last line: their sum over a day is that day's
WorkerHoursOnDemand  the same on demand
"""
