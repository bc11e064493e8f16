"""Routes that document a signature and run something faster.

FastAPI builds OpenAPI from the endpoint's signature; the request goes straight to a handler that reads the raw body
and answers with finished bytes. `get_route_handler` is the framework's documented way to do so; the thin ASGI app on
top leaves out the exit stacks that only dependencies need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette._utils import get_route_path
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

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                response = await handler(Request(scope, receive, send))
                await response(scope, receive, send)

            self.app = app

        def get_route_handler(self) -> Callable[[Request], Any]:
            return handler

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            # One comparison instead of a regular expression: there is such a route for each computation.
            if self._fixed is not None and scope["type"] == "http" and get_route_path(scope) != self._fixed:
                return Match.NONE, {}
            return super().matches(scope)

    return RawRoute
