"""Routes that document a signature and run something faster.

FastAPI builds OpenAPI from the endpoint's signature; the request goes straight to a handler that reads the raw body
and answers with finished bytes. `get_route_handler` is the framework's documented way to do so; the thin ASGI app on
top leaves out the exit stacks that only dependencies need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]


def raw_route(handler: Handler) -> type[APIRoute]:
    """A route class whose requests are answered by `handler`."""

    class RawRoute(APIRoute):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._fixed = None if self.param_convertors else self.path
            self._matched = {"endpoint": self.endpoint, "path_params": {}, "route": self}

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                response = await handler(Request(scope, receive, send))
                await response(scope, receive, send)

            self.app = app

        def get_route_handler(self) -> Callable[[Request], Any]:
            return handler

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            # One comparison instead of a regular expression: there is such a route for each computation.
            if self._fixed is None or scope["type"] != "http":
                return super().matches(scope)
            if not _is_path(scope, self._fixed):
                return Match.NONE, {}
            return Match.FULL, dict(self._matched)  # with another method, too: `handle` answers 405

    return RawRoute


def _is_path(scope: Scope, path: str) -> bool:
    """Whether a request is for this path, below the root path or where a proxy has taken that off."""
    asked: str = scope["path"]
    if asked == path:
        return True
    root: str = scope.get("root_path", "")
    return bool(root) and len(asked) == len(root) + len(path) and asked == root + path
