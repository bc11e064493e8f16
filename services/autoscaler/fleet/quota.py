"""How much may be asked of AWS: rates of calls, and how many vCPUs a fleet may have. No network here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from services.autoscaler.model import Capacity


class TokenBucket:
    """Counts calls against a quota of AWS: a burst, refilled at a rate.

    Args:
        burst: tokens when full.
        rate: tokens that come back in a second.
        clock: seconds, never going back by much.
    """

    def __init__(self, burst: float, rate: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens = burst
        self._at = clock()

    def take(self, tokens: float) -> float:
        """Take tokens and return 0, or take none and return the seconds until there are as many."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens >= tokens:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self._rate


class Backoff:
    """How long to leave a service alone that throttles: doubling, with jitter.

    Args:
        clock: seconds.
        first: seconds after the first refusal, before jitter.
        longest: seconds at most.
        jitter: a number from 0 to 1, drawn at each refusal.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        first: float = 1.0,
        longest: float = 30.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._refusals = 0
        self._until = 0.0

    def left(self) -> float:
        """Seconds for which nothing should be asked."""
        return max(0.0, self._until - self._clock())

    def refused(self) -> float:
        """Count a refusal; return the seconds to wait, from half of the doubled time to all of it."""
        longest = min(self._longest, self._first * 2.0 ** min(self._refusals, 16))
        self._refusals += 1
        wait = longest * (1 + self._jitter()) / 2
        self._until = self._clock() + wait
        return wait

    def answered(self) -> None:
        """Forget the refusals."""
        self._refusals = 0
        self._until = 0.0


@dataclass(frozen=True, slots=True)
class VcpuQuota:
    """A quota of AWS Fargate on the vCPUs that run at the same time in one account and region."""

    code: str
    name: str


SERVICE_CODE = "fargate"
VCPU_QUOTAS = {
    Capacity.ON_DEMAND: VcpuQuota("L-3032A538", "Fargate On-Demand vCPU resource count"),
    Capacity.SPOT: VcpuQuota("L-36FBB829", "Fargate Spot vCPU resource count"),
}


def shortage(capacity: Capacity, value: float, machines: int, vcpu: float, *, fallback: bool = False) -> str | None:
    """Say what a quota lacks for so many machines; None when it suffices.

    Args:
        capacity: whose quota.
        value: of the quota, in vCPUs.
        machines: how many are to run.
        vcpu: of each.
        fallback: they are needed only while Spot has no capacity.
    """
    needed = machines * vcpu
    if value >= needed:
        return None
    quota = VCPU_QUOTAS[capacity]
    when = " while Spot has no capacity" if fallback else ""
    return (
        f"quota {quota.name!r} ({quota.code}) is {value:g} vCPUs: {machines} machines of {vcpu:g} vCPU need "
        f"{needed:g}{when}, and other tasks of the account count too. "
        f"Ask for more in Service Quotas, or lower WORKERS_MAX to {int(value / vcpu)}."
    )
