"""How many addresses the private subnets have, and how many of them a stack takes when it is busiest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from infra import endpoints
from services.autoscaler.settings import PolicySettings

if TYPE_CHECKING:
    from infra.settings import StackSettings

RESERVED: Final = 5
"""AWS keeps so many of each subnet: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html."""
BALANCER: Final = 8
"""Free in each subnet of an Application Load Balancer, which is a /27 at least:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html."""
ROLLING: Final = 2
"""A deployment starts a service's new tasks beside the old ones; so does ElastiCache with nodes of another type."""
SURGE: Final[int] = PolicySettings.model_fields["rollout_surge"].default
"""Workers beyond the most, while they replace others."""


def room(settings: StackSettings) -> int:
    """Addresses in all private subnets."""
    return settings.availability_zones * ((1 << 32 - settings.private_mask) - RESERVED)


def taken(settings: StackSettings) -> Iterator[tuple[str, int]]:
    """What takes addresses in private subnets, and how many at most."""
    zones = settings.availability_zones
    yield f"workersMax {settings.workers_max}", settings.workers_max
    yield "workers while they replace others", SURGE
    yield f"apiMax {settings.api_max}, twice in a deployment", ROLLING * settings.api_max
    yield "scheduler and autoscaler, likewise", ROLLING * 2
    yield f"{settings.cache_nodes} of the cache, likewise", ROLLING * settings.cache_nodes
    if settings.nat == "none":
        interfaces = endpoints.interfaces(quotas=settings.service_quotas_endpoint)
        yield f"{len(interfaces)} endpoints in each zone", zones * len(interfaces)
    if settings.internal:
        yield "load balancer in each zone", zones * BALANCER
    if settings.shared_files:
        yield "shared files in each zone", zones


def problem(settings: StackSettings) -> str | None:
    """What is wrong with the size of the private subnets; None when they have room for everything."""
    parts = list(taken(settings))
    there, needed = room(settings), sum(count for _, count in parts)
    if needed <= there:
        return None
    sums = "; ".join(f"{what}: {count}" for what, count in parts)
    return (
        f"zoneMask: {settings.availability_zones} private subnets of /{settings.private_mask} have {there} addresses, "
        f"and {needed} are needed ({sums}): lower zoneMask {settings.zone_mask}, or workersMax or apiMax"
    )
