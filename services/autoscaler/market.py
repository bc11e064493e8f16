"""Spot or on-demand: which capacity the next machines should have. Pure.

Spot is asked for first. After some time of refusals machines are started on-demand, and Spot is asked for one machine
now and then; the first Spot machine that runs ends the fallback, and Spot machines take the place of those others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.autoscaler.model import Capacity, Member, Phase
from services.autoscaler.settings import EcsSettings


@dataclass(frozen=True, slots=True)
class Market:
    """What is known of Spot.

    Attributes:
        refused_since: when the present run of refusals began; None while Spot is to be had.
        tried_at: when Spot was last asked for in that run.
    """

    refused_since: float | None = None
    tried_at: float = 0.0


def fallback(market: Market, settings: EcsSettings, now: float) -> bool:
    """Whether machines are started on-demand for want of Spot."""
    return market.refused_since is not None and now - market.refused_since >= settings.spot_fallback_after


def split(
    count: int, members: Sequence[Member], market: Market, settings: EcsSettings, now: float, revision: str
) -> Mapping[Capacity, int]:
    """How many of `count` new machines of a revision should have which capacity."""
    have = sum(
        member.active and member.machine.capacity is Capacity.ON_DEMAND and member.machine.revision == revision
        for member in members
    )
    base = min(count, max(0, settings.on_demand_base - have))
    rest = count - base
    if not settings.use_spot:
        spot = 0
    elif not fallback(market, settings, now):
        spot = rest
    else:
        spot = min(rest, 1) if now - market.tried_at >= settings.spot_retry_after else 0
    return {Capacity.ON_DEMAND: count - spot, Capacity.SPOT: spot}


def dear(members: Sequence[Member], settings: EcsSettings) -> bool:
    """Whether machines are on-demand that should be Spot."""
    have = sum(member.active and member.machine.capacity is Capacity.ON_DEMAND for member in members)
    return settings.use_spot and have > settings.on_demand_base


def probe_due(market: Market, settings: EcsSettings, now: float) -> bool:
    """Whether it is time to ask for one Spot machine, to see whether there is Spot again."""
    return market.refused_since is not None and now - market.tried_at >= settings.spot_retry_after


def refused(market: Market, now: float) -> Market:
    """Spot was refused, at the call or before the machine ran."""
    return Market(now if market.refused_since is None else market.refused_since, now)


def tried(market: Market, now: float) -> Market:
    """Spot is being asked for."""
    return market if market.refused_since is None else replace(market, tried_at=now)


def seen(market: Market, members: Sequence[Member], settings: EcsSettings, now: float) -> Market:
    """Forget refusals: a Spot machine asked for after the last one runs, or they are too old to tell anything."""
    if market.refused_since is None:
        return market
    runs = any(
        member.machine.capacity is Capacity.SPOT
        and member.machine.phase is Phase.RUNNING
        and member.machine.created_at >= market.tried_at
        for member in members
    )
    old = now - market.tried_at > 2 * settings.spot_retry_after
    return replace(market, refused_since=None) if runs or old else market
