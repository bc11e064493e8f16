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

_LEVELS_WITH_REQUESTS = frozenset({"DEBUG", "INFO"})


class AccessLog:
    """Writes request lines.

    Args:
        level: least severe level that is logged; above INFO no request leaves a line.
        as_json: JSON lines, or the console's form.
        stream: where JSON lines go; None: standard output.
    """

    def __init__(self, level: str = "INFO", *, as_json: bool = True, stream: TextIO | None = None) -> None:
        self._enabled = level in _LEVELS_WITH_REQUESTS
        self._as_json = as_json
        self._stream = stream
        self._lines: list[str] = []
        self._second = 0
        self._stamp = ""
        self._logger = structlog.get_logger("services.api.access")

    def write(self, method: str, route: str, status: int, seconds: float, call: Call) -> None:
        """Leave a line about one answered request."""
        if not self._enabled:
            return
        if not self._as_json:
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
            f'"request_id":"{call.request_id}"{task},"level":"info","timestamp":"{self._now()}"}}\n'
        )
        if len(lines) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Write what was collected."""
        text = "".join(self._lines)
        self._lines.clear()
        stream = self._stream or sys.stdout
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):  # a log that nobody reads must not end a request
            self._enabled = False

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1000):03d}Z"
