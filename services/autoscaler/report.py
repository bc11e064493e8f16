"""What operators see of a round: the document in Redis that the API serves, the log line, the metrics."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from services.autoscaler.controller import Round
from services.autoscaler.model import Capacity, Member, Phase
from services.autoscaler.observe import Snapshot

HISTORY_MAX: Final = 360
HISTORY_EVERY_S: Final = 10.0
"""So the chart shows an hour."""
REASONS_MAX: Final = 20
TELL_AGAIN_S: Final = 60.0

log = structlog.get_logger(__name__)


class Report:
    """Makes the document, round by round.

    Args:
        observe_only: whether the autoscaler acts on nothing; the document says so.
    """

    def __init__(self, *, observe_only: bool) -> None:
        self._observe_only = observe_only
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY_MAX)
        self._reasons: deque[dict[str, str]] = deque(maxlen=REASONS_MAX)
        self._said = ""

    def restore(self, document: bytes | None) -> None:
        """Go on with the chart of whoever wrote the document before; one that cannot be read is left."""
        try:
            before = json.loads(document or b"{}")
            self._history.extend(point for point in before.get("history", []) if isinstance(point, dict))
            self._reasons.extend(reason for reason in before.get("reasons", []) if isinstance(reason, dict))
        except (ValueError, AttributeError, TypeError):
            return

    def document(self, round_: Round, now: float) -> bytes:
        """The document about this round."""
        seen = observed(round_.snapshot)
        decision, done = round_.decision, round_.done
        self._point(seen, decision.desired, now)
        self._reason(round_, now)
        return json.dumps(
            {
                "updated_at": _time(now),
                "observe_only": self._observe_only,
                "observed": seen,
                "decided": {
                    "desired": decision.desired,
                    "reason": decision.reason,
                    "for_dask": decision.for_dask,
                    "for_queue": decision.for_backlog,
                    "plan": round_.plan.reason,
                },
                "done": {
                    "launched": {capacity.value: len(ids) for capacity, ids in done.launched.items()},
                    "retired": len(done.retired),
                    "stopped": len(done.stopped),
                    "failures": done.failures[:REASONS_MAX],
                },
                "spot_refused_since": _time(round_.market.refused_since),
                "start_failures": max((each.failures for each in round_.starts.values()), default=0),
                "warnings": list(round_.warnings),
                "reasons": list(self._reasons),
                "history": list(self._history),
            }
        ).encode()

    def _point(self, seen: dict[str, Any], desired: int | None, now: float) -> None:
        """Add a point to the chart, but for those that come too soon."""
        if self._history and now - self._history[-1].get("t", 0) < HISTORY_EVERY_S:
            return
        names = ("machines", "starting", "busy", "retiring", "spot", "on_demand", "waiting", "in_flight")
        self._history.append(
            {"at": _time(now), "t": now, "desired": desired} | {name: seen.get(name) for name in names}
        )

    def _reason(self, round_: Round, now: float) -> None:
        """Remember why something was done or held, once for each change."""
        text = "; ".join(filter(None, [round_.plan.reason, *round_.done.failures, round_.decision.reason]))
        acted = bool(round_.plan.reason or round_.done.failures or round_.decision.desired is None)
        if acted and text != self._said:
            self._reasons.append({"at": _time(now) or "", "reason": text[:500]})
        self._said = text


def observed(snapshot: Snapshot | None) -> dict[str, Any]:
    """What was seen, as numbers."""
    if snapshot is None:
        return {}
    members = snapshot.members
    depth = snapshot.backlog.depth
    view = snapshot.scheduler
    return {
        "machines": len(members),
        "starting": _count(members, lambda m: m.active and not m.joined),
        "joined": _count(members, lambda m: m.active and m.joined),
        "busy": _count(members, lambda m: m.busy),
        "retiring": _count(members, lambda m: m.retiring and m.machine.phase is not Phase.STOPPING),
        "stopping": _count(members, lambda m: m.machine.phase is Phase.STOPPING),
        "spot": _count(members, lambda m: m.machine.capacity is Capacity.SPOT),
        "on_demand": _count(members, lambda m: m.machine.capacity is Capacity.ON_DEMAND),
        "revisions": sorted({m.machine.revision for m in members}),
        "scheduler": None if view is None else view.address,
        "dask_workers": None if view is None else len(view.workers),
        "dask_target": None if view is None else view.target,
        "waiting": depth.interactive + depth.batch,
        "delayed": depth.delayed,
        "in_flight": depth.flight,
        "ended": [f"{each.ending.value}: {each.reason}" for each in snapshot.ended][:REASONS_MAX],
    }


class Teller:
    """Logs decisions: each that differs from the one before, and each minute the one that goes on."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._last: tuple[object, ...] = ()
        self._told_at = 0.0

    def tell(self, round_: Round, now: float) -> None:
        """Log one decision, its inputs, its reason and what was done about it."""
        seen = observed(round_.snapshot)
        done = round_.done
        news = (round_.decision, round_.plan.reason, tuple(done.failures))
        worth_it = news != self._last or now - self._told_at >= TELL_AGAIN_S
        if worth_it:
            self._last, self._told_at = news, now
        (log.info if worth_it else log.debug)(
            "decision",
            desired=round_.decision.desired,
            reason=round_.decision.reason,
            plan=round_.plan.reason or None,
            launched=sum(map(len, done.launched.values())),
            retired=len(done.retired),
            stopped=len(done.stopped),
            failures=done.failures or None,
            owner=self._owner,
            **seen,
        )


def _count(members: Sequence[Member], test: Any) -> int:
    return sum(bool(test(member)) for member in members)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
