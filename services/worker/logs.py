"""Logging of processes that run Dask: ours as configured, Dask's own lines only when something is wrong."""

from __future__ import annotations

import logging

from services.compute import log
from services.compute.settings import LogSettings

_CHATTY = ("distributed.worker", "distributed.core", "distributed.client", "distributed.batched", "distributed.comm")
"""Warn of each lost connection, which our own lines say better."""


def configure(settings: LogSettings) -> None:
    """Set logging up, once, at the start of a process."""
    import distributed  # noqa: F401  # sets up handlers and levels of its own when it is imported

    log.configure(settings)
    quiet = logging.INFO if settings.log_level == "DEBUG" else logging.WARNING
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("distributed."):
            logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("distributed").setLevel(quiet)
    if settings.log_level != "DEBUG":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
