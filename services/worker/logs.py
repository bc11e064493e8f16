"""Logging of worker and scheduler processes: ours as configured, Dask's only when something is wrong."""

from __future__ import annotations

import logging

from services.compute import log
from services.compute.settings import LogSettings


def configure(settings: LogSettings) -> None:
    """Set logging up, once, at the start of a process."""
    log.configure(settings)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    # Says at the end of each lost connection what our own log says better.
    for name in ("distributed.worker", "distributed.core", "distributed.client", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.ERROR)
