"""The loop around the controller: rounds at an interval, that survive errors, until told to end."""

from __future__ import annotations

import os
import random
import select
import time
from collections.abc import Callable

import structlog

from services.autoscaler.controller import Controller, Round
from services.autoscaler.embedded import Embedded
from services.autoscaler.metrics import Metrics
from services.autoscaler.policy import restless
from services.autoscaler.report import Report, Teller
from services.compute.errors import StoreUnavailable
from services.compute.store import Store
from services.compute.store.types import Depth

log = structlog.get_logger(__name__)

PAUSE_MAX_S = 30.0
LOOK_S = 0.5
"""Between two looks at the amount of work, which cost a fraction of a round."""
STANDBY_S = 2.0
"""Between two looks for the lease while another process holds it."""
ALIVE_S = 60.0
"""A process that has finished no round for so long is stuck: `/livez` says so."""


class Loop:
    """Runs rounds.

    Args:
        controller: what a round is.
        store: where the document goes.
        report: makes it.
        metrics: what is counted.
        interval: seconds from the start of one round to the start of the next, unless much work comes or goes.
        clock: monotonic seconds.
        embedded: what CloudWatch is told, if it is.
    """

    def __init__(
        self,
        controller: Controller,
        store: Store,
        report: Report,
        metrics: Metrics,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        embedded: Embedded | None = None,
    ) -> None:
        self._controller = controller
        self._store = store
        self._report = report
        self._metrics = metrics
        self._teller = Teller(controller.owner)
        self._interval = interval
        self._embedded = embedded
        self._clock = clock
        # A pipe, since a signal handler may come at any moment, and an Event's lock could be held just then.
        self._stopped, self._stop = os.pipe()
        self._tried_at = clock()
        self._restored = False
        self._failures = 0
        self._standing_by = False
        self._depth: Depth | None = None  # of the work in the last round, while it is we who act

    def stop(self) -> None:
        """End after the present round."""
        os.write(self._stop, b".")

    def alive(self) -> bool:
        """Whether rounds are being tried, whatever comes of them: what is away is not mended by a restart."""
        return self._clock() - self._tried_at < max(ALIVE_S, 3 * self._interval)

    def run(self) -> None:
        """Do rounds until told to stop, then give the lease back."""
        left = 0.0
        while not self._rest(left):
            began = self._clock()
            self._try()
            self._tried_at = self._clock()
            left = max(0.05, self._pause() - (self._clock() - began))
        try:
            self._controller.close()
        except StoreUnavailable as error:
            log.info("the lease runs out by itself", reason=str(error)[:300])

    def _pause(self) -> float:
        """From the start of one round to the start of the next."""
        pause = min(PAUSE_MAX_S, self._interval * 2.0 ** min(self._failures, 5)) * random.uniform(0.95, 1.05)  # noqa: S311
        return min(pause, STANDBY_S) if self._standing_by else pause

    def _rest(self, seconds: float) -> bool:
        """Wait for the next round, or until much work has come or gone; whether we were told to stop."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._told_to_stop(min(left, LOOK_S)):
                return True
            if left > LOOK_S and self._restless():
                return False
        return self._told_to_stop(0.0)

    def _told_to_stop(self, wait: float) -> bool:
        return bool(select.select([self._stopped], [], [], wait)[0])

    def _restless(self) -> bool:
        if self._depth is None:
            return False
        try:
            return restless(self._depth, self._store.depth())
        except StoreUnavailable:
            return False

    def _try(self) -> None:
        began = self._clock()
        try:
            round_ = self._once()
            self._failures = 0
        except StoreUnavailable as error:
            self._failures = 0  # Redis comes back: then at once
            self._failed(began)
            log.warning("Redis is away: the fleet is held as it is", reason=str(error)[:300])
        except Exception:
            self._failures += 1
            self._failed(began)
            log.exception("a round of the autoscaler failed; it goes on")
        else:
            if self._embedded is not None:
                if round_ is None:
                    self._embedded.standing_by()
                else:
                    self._embedded.record(round_, self._clock() - began)

    def _failed(self, began: float) -> None:
        self._metrics.failed()
        if self._embedded is not None:
            self._embedded.failed(self._clock() - began)

    def _once(self) -> Round | None:
        self._depth = None
        with self._metrics.seconds.time():
            round_ = self._controller.round()
        self._standing_by = round_ is None
        if round_ is None:
            self._restored = False
            self._metrics.standing_by()
            return None
        if round_.snapshot is not None:
            self._depth = round_.snapshot.backlog.depth
        self._metrics.record(round_)
        now = time.time()
        self._teller.tell(round_, now)
        if not self._restored:
            self._report.restore(self._store.fleet())
            self._restored = True
        self._store.put_fleet(self._controller.owner, self._report.document(round_, now))
        return round_
