"""Responses whose bytes are ready: no headers parsed, nothing encoded twice."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

JSON = b"application/json"
PROBLEM = b"application/problem+json"
Header = tuple[bytes, bytes]


class Answer(Response):
    """A response from a finished body and finished headers.

    Args:
        body: bytes to send.
        status: HTTP status.
        headers: further headers, names in lower case.
        content_type: value of `Content-Type`; b"" sends none.
    """

    def __init__(
        self, body: bytes, status: int = 200, headers: Sequence[Header] = (), *, content_type: bytes = JSON
    ) -> None:
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), *headers]
        if content_type:
            self.raw_headers.append((b"content-type", content_type))


def not_modified(headers: Sequence[Header]) -> Answer:
    """304: the client has the bytes already."""
    answer = Answer(b"", 304, headers, content_type=b"")
    del answer.raw_headers[0]  # a length of 0 would be that of the full answer
    return answer
