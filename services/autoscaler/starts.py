"""Machines that never work cost money for nothing: after failures in a row, ask later and for less.

Counted for each capacity of its own: on-demand machines that nobody gets must not slow Spot ones that work, nor the
other way round.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from services.autoscaler.model import Capacity, Ended, Ending

FIRST_PAUSE_S = 5.0
PAUSE_MAX_S = 300.0
PROBE_FROM = 3
"""From so many rounds with failures in a row on, one machine at a time is tried."""

_OURS = frozenset({Ending.STOPPED, Ending.RECLAIMED})


@dataclass(frozen=True, slots=True)
class Starts:
    """How starting goes, on one capacity.

    Attributes:
        failures: rounds in a row with machines that failed to start or to join, none having joined between.
        until: nothing is launched before this time.
    """

    failures: int = 0
    until: float = 0.0


def allowed(starts: Starts, count: int, now: float) -> int:
    """How many of `count` machines may be launched now."""
    if now < starts.until:
        return 0
    return min(count, 1) if starts.failures >= PROBE_FROM else count


def tried(starts: Starts, now: float) -> Starts:
    """Machines were asked for: after failures in a row the next ones wait until these have had their time."""
    return replace(starts, until=now + _pause(starts.failures)) if starts.failures >= PROBE_FROM else starts


def failed(starts: Starts, now: float) -> Starts:
    """Something failed to start or join: wait, longer each time."""
    return Starts(starts.failures + 1, now + _pause(starts.failures))


def _pause(failures: int) -> float:
    return min(PAUSE_MAX_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10)) * random.uniform(0.75, 1.25)  # noqa: S311


def never_joined(ended: Sequence[Ended], joined_before: Collection[str], *, probing_spot: bool) -> list[Ended]:
    """Those that ended before they had joined the scheduler, and not by our or Spot's will.

    Args:
        ended: machines that are gone.
        joined_before: ids of those that had joined.
        probing_spot: whether Spot is only tried now and then for want of it: then a refusal slows nothing further.
    """
    return [
        each
        for each in ended
        if each.ending not in _OURS
        and each.id not in joined_before
        and not (probing_spot and each.ending is Ending.NO_CAPACITY and each.capacity is Capacity.SPOT)
    ]
