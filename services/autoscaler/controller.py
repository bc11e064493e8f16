"""The controller: one round after the other it observes, decides and acts, under a lease that one process holds.

It keeps nothing that it could not do without. What must survive it is in the fleet, at the scheduler and in Redis
(`notes.py`); what it remembers besides (windows, who joined when) begins anew after a restart and only makes it slower
to let machines go.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from services.autoscaler import market, notes, starts
from services.autoscaler.act import LEASE, LEASE_MS, Actor, Done, LeaseLost, Notebook, Scheduler
from services.autoscaler.errors import FleetUnavailable, SchedulerUnavailable
from services.autoscaler.fleet import Fleet
from services.autoscaler.market import Market
from services.autoscaler.model import Capacity, Ending, SchedulerView
from services.autoscaler.observe import Snapshot, bring_together
from services.autoscaler.policy import Decision, Memory, decide
from services.autoscaler.presence import Presence
from services.autoscaler.reconcile import Plan, reconcile, room
from services.autoscaler.settings import AutoscalerSettings
from services.autoscaler.starts import Starts
from services.compute.store.types import Backlog

CHECK_S = 3600.0
"""Between two looks at the quotas."""

log = structlog.get_logger(__name__)


class Store(Notebook, Protocol):
    """What is wanted of Redis; every method may raise StoreUnavailable."""

    def release(self, name: str, owner: str) -> bool:
        """Give the lease back."""

    def fleet_notes(self) -> dict[str, bytes]:
        """All notes."""

    def backlog(self) -> Backlog:
        """What waits."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round saw, decided and did.

    Attributes:
        snapshot: what it saw; None when the fleet gave no answer.
        decision: what should be.
        plan: what was to be done about it.
        done: what was done.
        market: what is known of Spot.
        starts: how starting goes, on each capacity.
        warnings: what stands in the way of the maximum.
    """

    snapshot: Snapshot | None
    decision: Decision
    plan: Plan
    done: Done
    market: Market
    starts: Mapping[Capacity, Starts]
    warnings: Sequence[str] = ()


class Controller:
    """One autoscaler process's controller.

    Args:
        fleet: the machines.
        scheduler: Dask.
        store: Redis.
        settings: bounds, windows, `OBSERVE_ONLY`.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fleet: Fleet,
        scheduler: Scheduler,
        store: Store,
        settings: AutoscalerSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fleet = fleet
        self._scheduler = scheduler
        self._store = store
        self._settings = settings
        self._clock = clock
        self.owner = secrets.token_hex(8)
        self.holder = False
        self._actor = Actor(fleet, scheduler, store, self.owner, clock)
        self._memory = Memory()
        self._presence = Presence()
        self._market = Market()
        self._starts = dict.fromkeys(Capacity, Starts())
        self._not_before = 0.0
        self._checked_at = 0.0
        self._warnings: Sequence[str] = ()

    def round(self) -> Round | None:
        """Do one round; None while another autoscaler holds the lease.

        Raises:
            StoreUnavailable: Redis is away: nothing more was done.
        """
        holder = self._store.lease(LEASE, self.owner, LEASE_MS)
        if holder != self.holder:
            log.info("autoscaler at work" if holder else "autoscaler stands by", owner=self.owner)
            self.holder = holder
        if not holder:
            # What happened meanwhile was not seen: begin anew when it is our turn.
            self._memory, self._presence = Memory(), Presence()
            return None
        self._check()
        done = Done()
        try:
            return self._round(done)
        except LeaseLost:
            self.holder = False
            log.warning("the lease has passed on in the middle of a round; the rest of it is not done")
            return None

    def close(self) -> None:
        """Let another autoscaler take over at once."""
        if self.holder:
            self.holder = False
            self._store.release(LEASE, self.owner)

    def _round(self, done: Done) -> Round:
        now = self._clock()
        book, broken = notes.read(self._store.fleet_notes())
        acting = not self._settings.observe_only
        if acting:
            self._actor.write(drop=broken)
            if now >= self._not_before and book.unanswered:
                self._actor.replay([la for la in book.unanswered if now - la.at <= notes.FORGET_S], done)
                book, _ = notes.read(self._store.fleet_notes())
        snapshot = self._observe(now, book, done)
        if snapshot is None:
            return self._report(None, Decision(None, "holding: the fleet gives no answer"), Plan(), done)
        self._learn(snapshot)
        decision, self._memory = decide(snapshot.load(), self._memory, self._settings, self._settings)
        plan = Plan()
        if decision.desired is not None:
            plan = self._plan(decision.desired, snapshot)
            if acting:
                self._act(plan, snapshot, done)
        if acting:
            self._actor.write(drop=notes.stale(book, snapshot.shown, snapshot.settled, now))
        return self._report(snapshot, decision, plan, done)

    def _observe(self, now: float, book: notes.Notes, done: Done) -> Snapshot | None:
        backlog = self._store.backlog()
        view: SchedulerView | None = None
        try:
            view = self._scheduler.look()
        except SchedulerUnavailable as error:
            done.failed(error)
        self._actor.hold()
        try:
            seen = self._fleet.observe(book.fresh, self._actor.hold)
        except FleetUnavailable as error:
            done.failed(error)
            return None
        return bring_together(now, seen, view, backlog, book, self._presence)

    def _learn(self, snapshot: Snapshot) -> None:
        """Draw conclusions about Spot and about starting from what was seen."""
        now, before = snapshot.now, self._presence
        for each in snapshot.ended:
            log.info("machine is gone", machine=each.id, ending=each.ending, capacity=each.capacity, reason=each.reason)
        if any(each.ending is Ending.NO_CAPACITY and each.capacity is Capacity.SPOT for each in snapshot.ended):
            self._market = market.refused(self._market, now)
        self._market = market.seen(self._market, snapshot.members, self._settings, now)
        probing = market.fallback(self._market, self._settings, now)
        failed = {e.capacity for e in starts.never_joined(snapshot.ended, before.joined, probing_spot=probing)}
        came = {m.machine.capacity for m in snapshot.members if m.joined and m.machine.id not in before.joined}
        self._failed(failed - came, now)
        self._starts.update(dict.fromkeys(came, Starts()))
        self._presence = snapshot.presence

    def _plan(self, desired: int, snapshot: Snapshot) -> Plan:
        settings = self._settings
        return reconcile(
            desired,
            snapshot.members,
            settings,
            self._fleet.revision,
            snapshot.now,
            settings.on_demand_base,
            replace_on_demand=self._market.refused_since is None and market.dear(snapshot.members, settings),
        )

    def _act(self, plan: Plan, snapshot: Snapshot, done: Done) -> None:
        if snapshot.now < self._not_before:
            done.failures.append("the fleet's quota of calls is used up: the rest is done in a later round")
            return
        members = {member.machine.id: member for member in snapshot.members}
        half_way = [m for m in snapshot.members if m.retiring and not all(w.leaving for w in m.workers)]
        retired = self._actor.retire([*(members[machine] for machine in plan.retire), *half_way], done)
        self._actor.stop([*plan.stop, *retired], done)
        if done.wait == 0.0:
            self._launch(plan.launch, snapshot, done)
        if Capacity.SPOT in done.short:
            self._market = market.refused(self._market, snapshot.now)
        stopped = [members[stop.machine] for stop in plan.stop]
        self._failed({m.machine.capacity for m in stopped if not m.retiring} | done.start_failed, snapshot.now)
        self._not_before = self._clock() + done.wait

    def _launch(self, count: int, snapshot: Snapshot, done: Done) -> None:
        now, settings = snapshot.now, self._settings
        wanted = market.split(count, snapshot.members, self._market, settings, now, self._fleet.revision)
        split = {each: starts.allowed(self._starts[each], wanted[each], now) for each in wanted}
        if not count and self._may_probe(snapshot):
            split = {Capacity.ON_DEMAND: 0, Capacity.SPOT: starts.allowed(self._starts[Capacity.SPOT], 1, now)}
        if not sum(split.values()):
            return
        if split[Capacity.SPOT]:
            self._market = market.tried(self._market, now)
        self._starts.update({each: starts.tried(self._starts[each], now) for each in split if split[each]})
        self._actor.launch(split, done)

    def _may_probe(self, snapshot: Snapshot) -> bool:
        """Whether one Spot machine more than needed should be asked for, to see whether there is Spot again."""
        return (
            market.dear(snapshot.members, self._settings)
            and market.probe_due(self._market, self._settings, snapshot.now)
            and room(snapshot.members, self._settings, surge=True) > 0
        )

    def _failed(self, capacities: Iterable[Capacity], now: float) -> None:
        self._starts.update({each: starts.failed(self._starts[each], now) for each in capacities})

    def _check(self) -> None:
        """Look at the quotas now and then."""
        now = self._clock()
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self._warnings = self._fleet.check(self._settings.workers_max)
            for warning in self._warnings:
                log.warning(warning)

    def _report(self, snapshot: Snapshot | None, decision: Decision, plan: Plan, done: Done) -> Round:
        return Round(snapshot, decision, plan, done, self._market, dict(self._starts), self._warnings)
