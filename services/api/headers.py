"""The request headers that change an answer: `Prefer`, `Cache-Control`, `If-None-Match`, `Content-Type`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.api.errors import Problem
from services.api.responses import Header

WAIT_MAX = 30
"""Longest `Prefer: wait`, in seconds; what is asked beyond it is cut to it."""


class Wishes(NamedTuple):
    """What a request asks for in its headers.

    Attributes:
        wait: seconds to hold the answer for; None when not asked.
        force: `Cache-Control: no-cache` was given.
    """

    wait: int | None = None
    force: bool = False

    @property
    def applied(self) -> list[Header]:
        """`Preference-Applied` for the answer, where a preference was honoured."""
        return [] if self.wait is None else [(b"preference-applied", b"wait=%d" % self.wait)]


def read_wishes(headers: Iterable[Header], *, json: bool = True) -> Wishes:
    """The wishes in raw headers.

    Args:
        headers: as the ASGI scope has them.
        json: refuse a declared content type that is not JSON.

    Raises:
        Problem: 415 for another content type.
    """
    wait, force = None, False
    for name, value in headers:
        if name == b"content-type":
            if json and value != b"application/json" and not _is_json(value):
                shown = value.decode("latin-1")[:100]
                raise Problem(415, "unsupported-media-type", f"send application/json, not {shown!r}")
        elif name == b"prefer":
            if wait is None:
                wait = parse_wait(value.decode("latin-1"))
        elif name == b"cache-control":
            force = force or any(part.strip().lower() == b"no-cache" for part in value.split(b","))
    return Wishes(wait, force)


def parse_wait(value: str) -> int | None:
    """Seconds of the first valid `wait` preference (RFC 7240, section 4.3), at most `WAIT_MAX`; None without one.

    An invalid preference is as if it were not there, as the RFC demands.
    """
    for preference in value.split(","):
        name, _, rest = preference.partition(";")[0].partition("=")
        if name.strip().lower() != "wait":
            continue
        number = rest.strip().strip('"')
        if number.isascii() and number.isdigit():
            return min(int(number[:10]), WAIT_MAX)
    return None


def matches_etag(header: str, etag: str) -> bool:
    """Whether `If-None-Match` names `etag` (weak comparison, RFC 9110, section 13.1.2)."""
    if header.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in header.split(","))


def _is_json(value: bytes) -> bool:
    media = value.partition(b";")[0].strip().lower()
    return media == b"application/json" or (media.startswith(b"application/") and media.endswith(b"+json"))
