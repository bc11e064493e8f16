"""The loop around the controller: rounds at an interval, that survive errors, until told to end."""

from __future__ import annotations

import os
import random
import select
import time
from collections.abc import Callable

import structlog

from services.autoscaler.controller import Controller
from services.autoscaler.metrics import Metrics
from services.autoscaler.report import Report, Teller
from services.compute.errors import StoreUnavailable
from services.compute.store import Store

log = structlog.get_logger(__name__)

PAUSE_MAX_S = 30.0
ALIVE_S = 60.0
"""A process that has finished no round for so long is stuck: `/livez` says so."""


class Loop:
    """Runs rounds.

    Args:
        controller: what a round is.
        store: where the document goes.
        report: makes it.
        metrics: what is counted.
        interval: seconds from the start of one round to the start of the next.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        controller: Controller,
        store: Store,
        report: Report,
        metrics: Metrics,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._controller = controller
        self._store = store
        self._report = report
        self._metrics = metrics
        self._teller = Teller(controller.owner)
        self._interval = interval
        self._clock = clock
        # A pipe, since a signal handler may come at any moment, and an Event's lock could be held just then.
        self._stopped, self._stop = os.pipe()
        self._tried_at = clock()
        self._restored = False
        self._failures = 0

    def stop(self) -> None:
        """End after the present round."""
        os.write(self._stop, b".")

    def alive(self) -> bool:
        """Whether rounds are being tried, whatever comes of them: what is away is not mended by a restart."""
        return self._clock() - self._tried_at < max(ALIVE_S, 3 * self._interval)

    def run(self) -> None:
        """Do rounds until told to stop, then give the lease back."""
        left = 0.0
        while not self._told_to_stop(left):
            began = self._clock()
            self._try()
            self._tried_at = self._clock()
            pause = min(PAUSE_MAX_S, self._interval * 2.0 ** min(self._failures, 5))
            left = max(0.05, pause * random.uniform(0.95, 1.05) - (self._clock() - began))  # noqa: S311
        try:
            self._controller.close()
        except StoreUnavailable as error:
            log.info("the lease runs out by itself", reason=str(error)[:300])

    def _told_to_stop(self, wait: float) -> bool:
        return bool(select.select([self._stopped], [], [], wait)[0])

    def _try(self) -> None:
        try:
            self._once()
            self._failures = 0
        except StoreUnavailable as error:
            self._failures = 0  # Redis comes back: then at once
            self._metrics.failed()
            log.warning("Redis is away: the fleet is held as it is", reason=str(error)[:300])
        except Exception:
            self._failures += 1
            self._metrics.failed()
            log.exception("a round of the autoscaler failed; it goes on")

    def _once(self) -> None:
        round_ = self._controller.round()
        if round_ is None:
            self._restored = False
            self._metrics.standing_by()
            return
        self._metrics.record(round_)
        now = time.time()
        self._teller.tell(round_, now)
        if not self._restored:
            self._report.restore(self._store.fleet())
            self._restored = True
        self._store.put_fleet(self._controller.owner, self._report.document(round_, now))
