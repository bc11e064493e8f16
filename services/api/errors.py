"""Every error as a problem document (RFC 9457): `type` is `urn:tidegate:<slug>`, and no internals in any body.

Handlers of the framework's own errors (404, 405, 422) are here too, so that clients meet one form only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from services.api.responses import PROBLEM, Answer
from services.compute.errors import ObjectStoreError, StoreUnavailable, TidegateError

ERRORS_MAX = 100
"""Validation errors listed in one answer; the rest is only counted."""

_LOC_CHARS = 100
_RETRY_SECONDS = 2
_SLUGS = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large", 422: "invalid-request"}

log = structlog.get_logger(__name__)


class Problem(TidegateError):
    """An answer that is a problem document.

    Args:
        status: HTTP status.
        slug: end of `type`, stable for programs.
        detail: what was wrong and what to do, for people.
        headers: further response headers.
        retry_after: seconds for `Retry-After`; None leaves it out.
        members: further members of the document.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        retry_after: int | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.detail, self.members = status, slug, detail, members
        self.headers = list(headers)
        if retry_after is not None:
            self.headers.append(("retry-after", str(retry_after)))

    def response(self, path: str) -> Answer:
        """The document as a response to a request for `path`."""
        document = {
            "type": f"urn:tidegate:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": quote(path, safe="/:@!$&'()*+,;=~"),
            **self.members,
        }
        body = json.dumps(document, separators=(",", ":")).encode()
        headers = [(name.encode(), value.encode()) for name, value in self.headers]
        return Answer(body, self.status, headers, content_type=PROBLEM)


class ErrorList(list[dict[str, Any]]):
    """Validation errors as they go over the wire: `loc`, `msg`, `type`."""

    @classmethod
    def of(cls, error: ValidationError | RequestValidationError, lead: Sequence[str | int] = ()) -> ErrorList:
        """The errors of a failed validation, at most `ERRORS_MAX`, `lead` put before each `loc`."""
        if isinstance(error, ValidationError):
            if error.error_count() > 10 * ERRORS_MAX:  # building millions of them would block the loop
                message = f"{error.error_count()} errors, too many to list"
                return cls([{"loc": list(lead), "msg": message, "type": "too_many_errors"}])
            found: Sequence[Any] = error.errors(include_url=False, include_context=False, include_input=False)
        else:
            found = error.errors()
        return cls(
            {"loc": [*lead, *map(_step, each["loc"])], "msg": _short(each["msg"], 500), "type": each["type"]}
            for each in found[:ERRORS_MAX]
        )


def invalid(errors: Sequence[Mapping[str, Any]], detail: str | None = None) -> Problem:
    """422 with these validation errors."""
    first = errors[0] if errors else {"loc": [], "msg": "invalid"}
    where = ".".join(map(str, first["loc"])) or "request"
    text = detail or f"{where}: {first['msg']}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
    return Problem(422, "invalid-request", text, errors=list(errors))


def unknown_task(task_id: str) -> Problem:
    """404 for a task that has no record."""
    shown = _short(task_id)
    return Problem(404, "unknown-task", f"no task {shown!r}: never submitted, or its result has expired; POST it again")


def queue_full(queue_max: int) -> Problem:
    """429 when new tasks find no room."""
    return Problem(
        429, "queue-full", f"the queue holds its maximum of {queue_max:,} tasks: try again later", retry_after=5
    )


def overloaded(detail: str) -> Problem:
    """503 for a bound of this process."""
    return Problem(503, "overloaded", detail, retry_after=_RETRY_SECONDS)


def store_unavailable() -> Problem:
    """503 while Redis does not answer."""
    detail = "the task store does not answer: nothing is known about this request's effect; repeat it, which is safe"
    return Problem(503, "store-unavailable", detail, retry_after=_RETRY_SECONDS)


def internal_error(request_id: str) -> Problem:
    """500 that tells no internals, only where to look them up."""
    return Problem(500, "internal-error", f"unexpected error; the log has it under request id {request_id}")


def install_handlers(app: FastAPI) -> None:
    """Make every error that a route or the framework raises a problem document."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:
            headers["allow"] = ", ".join(_allowed(app, request))
        slug = _SLUGS.get(error.status_code, "http-error")
        detail = _details(error, request)
        return Problem(error.status_code, slug, detail, headers=list(headers.items())).response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        return invalid(ErrorList.of(error)).response(request.url.path)

    @app.exception_handler(StoreUnavailable)
    async def store(request: Request, error: StoreUnavailable) -> Response:
        log.warning("store unavailable", path=request.url.path, reason=str(error))
        return store_unavailable().response(request.url.path)

    @app.exception_handler(ObjectStoreError)
    async def objects(request: Request, error: ObjectStoreError) -> Response:
        log.error("object store failed", path=request.url.path, reason=str(error))
        detail = "the store of large results does not answer: try again later"
        return Problem(503, "object-store-unavailable", detail, retry_after=_RETRY_SECONDS).response(request.url.path)


def _details(exc: HTTPException, request: Request) -> str:
    if exc.status_code == 404:
        root = request.scope.get("root_path", "")
        return f"nothing is served at {_short(request.url.path)}: see {root}/api/v1/docs"
    if exc.status_code == 405:
        return f"{_short(request.method)} is not possible here: see the Allow header"
    return _short(str(exc.detail), 500)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """Methods of all routes for the path, where the framework names only the first one's.

    A path without parameters is nobody else's: `/tasks/query` is not the task `query`.
    """
    matching = [
        route
        for route in app.router.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    fixed = [route for route in matching if not route.param_convertors]
    return sorted({method for route in fixed or matching for method in route.methods or ()})


def _step(value: object) -> str | int:
    return value if isinstance(value, int) else _short(value)


def _short(value: object, limit: int = _LOC_CHARS) -> str:
    """`value` as text, cut where it is long: messages may carry what the client sent."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
