"""Dask's settings for scheduler and workers, each with its reason; the entry points set them first of all."""

from __future__ import annotations

from typing import Any, Final

SHARED: Final[dict[str, Any]] = {
    # The statistical profiler samples all threads 100 times a second, for a dashboard that is off by default.
    "distributed.worker.profile.enabled": False,
    # How often each event loop looks how late it is (20 ms by default): most of what an idle process costs.
    "distributed.admin.tick.interval": "500ms",
}

SCHEDULER: Final[dict[str, Any]] = SHARED | {
    # Attempts are counted in Redis, when a task begins. Dask counts what waited on a lost worker too, and
    # with its default of 3 would give up tasks that never ran.
    "distributed.scheduler.allowed-failures": 1000,
    # Little waits at the workers, so what a worker loses or gives back in a drain is little, and stealing and
    # scaling see the queue. `inf` would cost less per Dask task; bundles make that cheap enough.
    "distributed.scheduler.worker-saturation": 1.1,
}

WORKER: Final[dict[str, Any]] = SHARED | {
    # A parent that lost its scheduler should know soon; whoever waits longer holds a thread for nothing.
    "distributed.comm.timeouts.connect": "10s",
}
