"""Cross-origin requests: the framework's rules, with problem documents for preflights that are refused."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.api.errors import Problem

_EXPOSED = ["ETag", "Location", "Preference-Applied", "Retry-After", "X-Request-ID"]
_ACCEPTED = ["Cache-Control", "Content-Type", "If-None-Match", "Last-Event-ID", "Prefer", "X-Request-ID"]


class Cors(CORSMiddleware):
    """Answers preflights and adds CORS headers to all else.

    Args:
        app: what is wrapped.
        origins: whose pages may call, `*` for all.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=_ACCEPTED,
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope)
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if not preflight or "origin" not in headers:
            await self.simple_response(scope, receive, send, request_headers=headers)
            return
        answer: Response = self.preflight_response(headers)
        if answer.status_code >= 400:
            detail = f"{bytes(answer.body).decode()}: this API lets pages of the origins in CORS_ORIGINS call it"
            kept = [(name, value) for name, value in answer.headers.items() if not name.startswith("content-")]
            answer = Problem(400, "cors-refused", detail, headers=kept).response(scope["path"])
        await answer(scope, receive, send)
