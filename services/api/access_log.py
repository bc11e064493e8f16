"""One line per request, cheap enough to leave on: a log line by the usual way costs as much as a cached answer.

JSON lines have the fields of every other log line (`event`, `level`, `timestamp`). They are collected during one tick
of the event loop and written together.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TextIO

import structlog

from services.api.context import Call
from services.compute.settings import LogSettings

_LEVELS_WITH_REQUESTS = frozenset({"DEBUG", "INFO"})


class AccessLog:
    """Writes request lines.

    Args:
        settings: level, above INFO no request leaves a line, and format.
        stream: where lines go; default standard error, as all other logs.
    """

    def __init__(self, settings: LogSettings, stream: TextIO | None = None) -> None:
        out = sys.stderr if stream is None else stream
        self._enabled = settings.log_level in _LEVELS_WITH_REQUESTS
        self._text = settings.log_format == "console" or (settings.log_format == "auto" and out.isatty())
        self._stream = out
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""
        self._logger = structlog.get_logger("services.api.access")

    def write(self, method: str, route: str, status: int, seconds: float, call: Call) -> None:
        """Leave a line about one answered request."""
        if not self._enabled:
            return
        if self._text:
            self._logger.info(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                request_id=call.request_id,
                task_id=call.task_id,
            )
            return
        # Route, request id and task id hold nothing that JSON would escape: they were matched against patterns.
        task = f',"task_id":"{call.task_id}"' if call.task_id else ""
        verb = f'"{method}"' if method.isalpha() else json.dumps(method)
        lines = self._lines
        lines.append(
            f'{{"event":"request","method":{verb},"route":"{route}","status":{status},"ms":{seconds * 1000:.2f},'
            f'"request_id":"{call.request_id}"{task},"level":"info","logger":"services.api.access","timestamp":"{self._now()}"}}\n'
        )
        if len(lines) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what was collected."""
        text = "".join(self._lines)
        self._lines.clear()
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a log that nobody reads must not end a request
            self._enabled = False

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"
