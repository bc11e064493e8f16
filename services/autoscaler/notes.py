"""What the autoscaler must not forget, in Redis: launches that it is about to make, and machines that it retires.

A launch is written down before it is made and stays until a listing shows all of its machines, or they are gone: that
they can be described by their ids is no help to a successor, who knows ids from the listing and from here only. Whoever
comes after a crash makes it again under the same token, which starts nothing twice.
All writes are refused once the lease is somebody else's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import asdict, dataclass

import structlog

from services.autoscaler.model import Capacity, Launch

log = structlog.get_logger(__name__)

FORGET_S = 300.0
"""After so long a launch is not made again and not waited for: listings show by then what came of it."""

_LAUNCH = "launch:"
_RETIRE = "retire:"


@dataclass(frozen=True, slots=True)
class NotedLaunch:
    """A launch as it is written down.

    Attributes:
        launch: what was intended.
        ids: machines that it gave; None while its answer is not known.
    """

    launch: Launch
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """All notes at one time.

    Attributes:
        launches: whose machines are not all listed yet.
        retiring: machines that we have told to take nothing new.
    """

    launches: Sequence[NotedLaunch]
    retiring: frozenset[str]

    @property
    def unanswered(self) -> Sequence[Launch]:
        """Launches that must be made again."""
        return [noted.launch for noted in self.launches if noted.ids is None]

    @property
    def fresh(self) -> Sequence[str]:
        """Machines that a listing may not show yet."""
        return [machine for noted in self.launches for machine in noted.ids or ()]


def read(raw: Mapping[str, bytes]) -> tuple[Notes, Sequence[str]]:
    """The notes, and the names of those that cannot be read (written by another version) and should be dropped."""
    launches, retiring, broken = [], set(), []
    for name, value in raw.items():
        if name.startswith(_RETIRE):
            retiring.add(name.removeprefix(_RETIRE))
            continue
        try:
            fields = json.loads(value)
            ids = fields.pop("ids")
            fields["capacity"] = Capacity(fields["capacity"])
            launches.append(NotedLaunch(Launch(**fields), None if ids is None else tuple(ids)))
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("a note cannot be read and is dropped", note=name)
            broken.append(name)
    return Notes(sorted(launches, key=lambda noted: noted.launch.at), frozenset(retiring)), broken


def stale(notes: Notes, shown: Collection[str], settled: Set[str], now: float) -> list[str]:
    """Names of notes that have served: all of a launch's machines are listed or gone, a retired machine is gone."""
    names = [
        launch_name(noted.launch)
        for noted in notes.launches
        if now - noted.launch.at > FORGET_S or (noted.ids is not None and set(noted.ids) <= settled)
    ]
    return names + [retire_name(machine) for machine in notes.retiring if machine not in shown]


def launch_name(launch: Launch) -> str:
    """What a launch's note is called."""
    return _LAUNCH + launch.token


def retire_name(machine: str) -> str:
    """What the note of a retired machine is called."""
    return _RETIRE + machine


def written(launch: Launch, ids: Sequence[str] | None = None) -> bytes:
    """A launch's note."""
    return json.dumps({**asdict(launch), "ids": ids}).encode()
