"""Structured logs: one JSON object a line outside a terminal, coloured text on one.

The standard library's loggers (Dask's, uvicorn's) go the same way. What a task writes carries its `task_id`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from services.compute.settings import LogSettings

_ROUTED = ("distributed", "uvicorn", "uvicorn.access", "uvicorn.error", "bokeh", "tornado", "asyncio", "py.warnings")
"""Loggers that libraries give handlers of their own."""


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set logging up for a process; call it once, after its imports.

    Args:
        settings: level and format.
        stream: where lines go; default standard error.
    """
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.log_level]
    text = settings.log_format == "console" or (settings.log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        _name_logger,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Factory(out),
        cache_logger_on_first_use=True,
    )
    _route(level, out, shared, last)


def task_context(task_id: str) -> AbstractContextManager[None]:
    """Give every line that the calling thread or task logs inside `with` the `task_id`."""
    return structlog.contextvars.bound_contextvars(task_id=task_id)


def _route(level: int, out: TextIO, shared: list[Processor], last: list[Processor]) -> None:
    """Send the standard library's loggers the same way, and take the handlers away that libraries have set."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in _ROUTED:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _name_logger(logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the logger's name, which is its module's."""
    name = getattr(logger, "name", None) or getattr(event.get("_record"), "name", None)
    if name:
        event["logger"] = name
    return event


class _Logger(structlog.WriteLogger):
    """Writes lines, and knows its name."""

    def __init__(self, out: TextIO, name: str | None) -> None:
        super().__init__(out)
        self.name = name


class _Factory:
    """Makes loggers that write to one stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __call__(self, *args: Any) -> _Logger:
        return _Logger(self._out, str(args[0]) if args else None)
