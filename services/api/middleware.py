"""The one ASGI middleware around all routes: request id, bound on requests, log line, metrics, last-resort 500.

Plain ASGI, since a `BaseHTTPMiddleware` costs more than a cached answer.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from time import perf_counter

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.access_log import AccessLog
from services.api.context import API, CALL, Call
from services.api.embedded import Window, held
from services.api.errors import internal_error, overloaded
from services.api.metrics import Metrics

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}\Z")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_DOCUMENTS = frozenset({f"{API}/docs", f"{API}/openapi.json"})  # the framework's own, of which it names no route

log = structlog.get_logger(__name__)


class Gate:
    """Wraps the app.

    Args:
        app: what is wrapped.
        metrics: where requests are counted.
        access_log: where each request leaves a line.
        requests_max: requests under way, beyond which 503 is answered.
        root_path: path prefix of the proxy's, which may come with a request or have been taken off.
        around: makes what adds to every answer (CORS), to those of the Gate itself too.
        window: where requests are counted for CloudWatch, if they are.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        access_log: AccessLog,
        requests_max: int,
        root_path: str = "",
        around: Callable[[ASGIApp], ASGIApp] | None = None,
        window: Window | None = None,
    ) -> None:
        self._window = window
        self._around = around or (lambda inner: inner)
        self._app = app
        self._inside = self._around(app)
        self._metrics = metrics
        self._access_log = access_log
        self._requests_max = requests_max
        self._root_path = root_path
        self._active = 0
        metrics.requests_active.set_function(lambda: self._active)
        self._lead = os.urandom(6).hex()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = perf_counter()
        call = scope[CALL] = Call(self._request_id(scope))
        if self._root_path:
            scope["root_path"] = self._root_path
        header = (b"x-request-id", call.request_id.encode())

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = message["status"]
                call.held = self._window is not None and held(message["headers"])
                message["headers"] = [*message["headers"], header]
            await send(message)

        self._active += 1
        try:
            if self._active > self._requests_max and scope["path"] not in _QUIET:
                detail = f"{self._requests_max:,} requests are under way in this process (REQUESTS_MAX)"
                await self._around(overloaded(detail).response(scope["path"]))(scope, receive, send_on)
            else:
                await self._inside(scope, receive, send_on)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("unhandled error", request_id=call.request_id, path=scope["path"])
            if call.status:
                raise  # the answer has begun: only cutting the connection tells the client
            await self._around(internal_error(call.request_id).response(scope["path"]))(scope, receive, send_on)
        finally:
            self._active -= 1
            self._note(scope, call, perf_counter() - start)

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.match(value):
                return str(value, "ascii")
        return f"{self._lead}-{next(self._numbers):x}"

    def _route(self, scope: Scope) -> str:
        """The path template that was matched; never a path that a client can choose."""
        route = scope.get("route")
        if route is not None:
            return str(route.path)
        path: str = scope["path"].removeprefix(self._root_path)
        return path if path in _DOCUMENTS else "unmatched"

    def _note(self, scope: Scope, call: Call, seconds: float) -> None:
        route = self._route(scope)
        status = call.status or 499  # the client left before an answer
        self._metrics.request(route, scope["method"], status, seconds)
        if route not in _QUIET:
            if self._window is not None:
                self._window.request(status, seconds, held=call.held)
            self._access_log.write(scope["method"], route, status, seconds, call)
