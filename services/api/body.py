"""Request bodies: read within a size and a time, and taken apart without blocking the event loop.

JSON here is RFC 8259's: no NaN literals, no duplicate names, valid UTF-8.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from typing import Any

import pydantic_core
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from services.api.errors import ErrorList, Problem, invalid
from services.compute.registry import Computation

_SPACE = re.compile(r"[ \t\n\r]*")
_NOT_JSON = re.compile(rb"NaN|Infinity")


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body.

    Args:
        scope: ASGI scope.
        receive: ASGI receive.
        limit: bytes allowed, declared or arriving.
        seconds: how long the body may take to arrive.

    Raises:
        Problem: 413 beyond the limit, 408 beyond the time.
        ClientDisconnect: the client left.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and len(value) < 20 and int(value) > limit:
            raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                return body
            return await _read_chunks(message, receive, limit)
    except TimeoutError:
        raise Problem(408, "body-timeout", f"the body did not arrive within {seconds:g} s") from None


async def _read_chunks(message: Any, receive: Receive, limit: int) -> bytes:
    chunks, size = [], 0
    while message["type"] == "http.request":
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    raise ClientDisconnect


def _too_large(limit: int) -> Problem:
    # The rest of the body is not read: close, rather than take it for the next request.
    detail = f"the body has more than the {limit:,} bytes allowed (BODY_MAX_BYTES)"
    return Problem(413, "body-too-large", detail, headers=[("connection", "close")])


def parse_parameters(computation: Computation, body: bytes) -> BaseModel:
    """Validated parameters from JSON.

    Raises:
        ValidationError: for anything that is not JSON or not these parameters.
    """
    parameters = computation.validate_json(body)
    # Both are rare, and both checks cost less than 0.2 µs where the answer is no.
    if _NOT_JSON.search(body):
        pydantic_core.from_json(body, allow_inf_nan=False)
    if body.count(b":") != len(parameters.model_fields_set):
        _refuse_duplicates(body)
    return parameters


class NotJson(ValueError):
    """JSON by most parsers' measure, not by RFC 8259's; the message says where."""


def _refuse_duplicates(body: bytes) -> None:
    def pairs(found: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in found:
            if name in seen:
                raise NotJson(f"duplicate name {name[:100]!r} in an object")
            seen.add(name)

    json.loads(body, object_pairs_hook=pairs, parse_int=len, parse_float=len)


def parameter_errors(computation: Computation, body: bytes, lead: tuple[str | int, ...]) -> BaseModel | ErrorList:
    """Validated parameters, or why there are none."""
    try:
        return parse_parameters(computation, body)
    except ValidationError as error:
        return ErrorList.of(error, lead)
    except ValueError as error:  # what is stricter than Pydantic's own parser
        return ErrorList([{"loc": list(lead), "msg": f"Invalid JSON: {error}", "type": "json_invalid"}])
    except RecursionError:
        return ErrorList([{"loc": list(lead), "msg": "Invalid JSON: nested too deeply", "type": "json_invalid"}])


def split_batch(body: bytes, items_max: int) -> Iterator[bytes]:
    """The JSON of each element of `{"parameters": [...]}`, found one after another.

    An iterator, so that the caller can yield to the event loop between elements of a large body.

    Raises:
        Problem: 422 when the body is not such an object, is empty, or has more than `items_max` elements.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"invalid UTF-8 at byte {error.start}") from None
    scan = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode
    at = _expect(text, 0, "{")
    at = _expect(text, at, '"parameters"')
    at = _expect(text, at, ":")
    at = _expect(text, at, "[")
    count = 0
    while True:
        at = _skip(text, at)
        try:
            _, end = scan(text, at)
        except (JSONDecodeError, RecursionError) as error:
            raise _no_element(text, at, count, error) from None
        count += 1
        if count > items_max:
            raise invalid([{"loc": ["body", "parameters"], "msg": f"more than {items_max:,} sets", "type": "too_long"}])
        yield text[at:end].encode("utf-8", "surrogatepass")
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at += 1
    at = _expect(text, at, "]")
    at = _expect(text, at, "}")
    if at != len(text):
        raise _malformed(f"trailing characters at {at}")


def _no_element(text: str, at: int, count: int, error: Exception) -> Problem:
    if count == 0 and text[at : at + 1] == "]":
        return invalid([{"loc": ["body", "parameters"], "msg": "at least one set is needed", "type": "too_short"}])
    if isinstance(error, RecursionError):
        return _malformed(f"element {count} is nested too deeply")
    return _malformed(f"element {count} at character {at} is no JSON value")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, token: str) -> int:
    """Index after `token` and white space around it."""
    at = _skip(text, at)
    if not text.startswith(token, at):
        raise _malformed(f'expected {token} at character {at} of {{"parameters": [...]}}')
    return _skip(text, at + len(token))


def _malformed(message: str) -> Problem:
    return invalid([{"loc": ["body"], "msg": message, "type": "json_invalid"}])
