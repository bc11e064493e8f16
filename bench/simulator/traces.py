"""Traces of demand: when which task comes, and when Spot takes machines back. All random numbers come from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.simulator.settings import TraceSettings

Arrival = tuple[float, float]
"""Seconds from the start of the trace, and what the task takes."""


@dataclass(frozen=True)
class Storm:
    """Spot takes a share of the running machines back at once and has nothing for some time; seconds."""

    at: float
    share: float
    drought: float


@dataclass(frozen=True)
class Trace:
    """One trace.

    Attributes:
        name: of it.
        length: in seconds; it goes on until all tasks are done.
        arrivals: in order.
        storm: of Spot, if any.
    """

    name: str
    length: float
    arrivals: tuple[Arrival, ...]
    storm: Storm | None = None


def _poisson(rate: Callable[[float], float], highest: float, length: float, chance: random.Random) -> Iterator[float]:
    """Arrival times of a Poisson process by thinning; rates per second."""
    at = chance.expovariate(highest)
    while at < length:
        if chance.random() * highest < rate(at):
            yield at
        at += chance.expovariate(highest)


def burst(settings: TraceSettings, chance: random.Random) -> Trace:
    """Everything at once, at a moment that no autoscaler's round is bound to."""
    at = chance.uniform(0, 10)
    return Trace("burst", at, ((at, settings.task),) * settings.burst_tasks)


def diurnal(settings: TraceSettings, chance: random.Random) -> Trace:
    """A day: a sinus from trough to peak and back, with Poisson arrivals."""
    length, task = settings.diurnal_length, settings.task
    middle = (settings.diurnal_peak + settings.diurnal_trough) / 2
    swing = (settings.diurnal_peak - settings.diurnal_trough) / 2

    def rate(at: float) -> float:
        return (middle - swing * math.cos(2 * math.pi * at / length)) / task

    times = _poisson(rate, settings.diurnal_peak / task, length, chance)
    return Trace("diurnal", length, tuple((at, task) for at in times))


def trickle(settings: TraceSettings, chance: random.Random) -> Trace:
    """One short task now and then."""
    first = chance.uniform(0, settings.trickle_every)
    count = int(settings.trickle_length / settings.trickle_every)
    arrivals = tuple((first + n * settings.trickle_every, settings.trickle_task) for n in range(count))
    return Trace("trickle", settings.trickle_length, arrivals)


def sawtooth(settings: TraceSettings, chance: random.Random) -> Trace:
    """Bursts at an interval."""
    first = chance.uniform(0, 10)
    starts = [
        first + n * settings.sawtooth_every for n in range(int(settings.sawtooth_length / settings.sawtooth_every))
    ]
    arrivals = tuple((at, settings.task) for at in starts for _ in range(settings.sawtooth_tasks))
    return Trace("sawtooth", settings.sawtooth_length, arrivals)


def heavy_tail(settings: TraceSettings, chance: random.Random) -> Trace:
    """Log-normal durations of the usual mean, Poisson arrivals."""
    sigma, length = settings.heavy_sigma, settings.heavy_length
    mu = math.log(settings.task) - sigma**2 / 2
    rate = settings.heavy_load / settings.task
    times = list(_poisson(lambda _: rate, rate, length, chance))
    return Trace("heavy tail", length, tuple((at, chance.lognormvariate(mu, sigma)) for at in times))


def spot_storm(settings: TraceSettings, chance: random.Random) -> Trace:
    """A steady load; in the middle of it a part of the fleet is reclaimed and Spot is sold out."""
    rate = settings.storm_load / settings.task
    times = _poisson(lambda _: rate, rate, settings.storm_length, chance)
    storm = Storm(settings.storm_at, settings.storm_share, settings.storm_drought)
    return Trace("spot storm", settings.storm_length, tuple((at, settings.task) for at in times), storm)


TRACES: dict[str, Callable[[TraceSettings, random.Random], Trace]] = {
    "burst": burst,
    "diurnal": diurnal,
    "trickle": trickle,
    "sawtooth": sawtooth,
    "heavy-tail": heavy_tail,
    "spot-storm": spot_storm,
}


def make(name: str, settings: TraceSettings, seed: int) -> Trace:
    """The trace of this name for a seed."""
    return TRACES[name](settings, random.Random(f"{name}/{seed}"))
