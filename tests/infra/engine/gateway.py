"""Between processes and moto: hands every call on, and writes down who called what."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_SCOPE = re.compile(r"([A-Z0-9]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_ON_OBJECTS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
_ON_BUCKETS = {"GET": "ListBucket", "HEAD": "ListBucket"}
_OWN = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})
"""Headers that each connection has for itself."""
MOTO_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """A call of AWS, as it was made.

    Attributes:
        key: access key that signed it.
        action: as IAM names it, such as `ecs:RunTask`.
        parameters: of the call; of S3 `Bucket` and `Key`.
        status: of the answer.
        answer: of services that speak JSON.
    """

    key: str
    action: str
    parameters: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any] = field(default_factory=dict)


class Gateway:
    """An address of AWS.

    Args:
        moto: port of the server that answers.
    """

    def __init__(self, moto: int) -> None:
        self._moto = moto
        self._calls: list[Call] = []
        self.server = server(self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def calls(self) -> list[Call]:
        """All calls that were answered."""
        return list(self._calls)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, bytes]:
        """Have moto answer a call, and write it down."""
        connection = http.client.HTTPConnection("127.0.0.1", self._moto, timeout=MOTO_S)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        self._calls.append(call(method, path, headers, body, answer.status, data))
        return answer.status, answer.getheaders(), data

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # a process that was killed
                    self.close_connection = True

            def _hand_on(self) -> None:
                assert "Transfer-Encoding" not in self.headers, "bodies have a length here"
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                status, headers, data = gateway.answer(self.command, self.path, sent, body)
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _hand_on  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler


def call(method: str, path: str, headers: Mapping[str, str], body: bytes, status: int, answer: bytes) -> Call:
    """Read a call."""
    address = urlsplit(path)
    query = parse_qs(address.query)
    signed = _SCOPE.search(headers.get("Authorization", "") or query.get("X-Amz-Credential", [""])[0])
    assert signed, f"nobody has signed {method} {path}"
    key, service = signed[1], signed[3]
    if service == "s3":
        bucket, _, name = unquote(address.path).lstrip("/").partition("/")
        action = (_ON_OBJECTS if name else _ON_BUCKETS).get(method, method)
        return Call(key, f"s3:{action}", {"Bucket": bucket, "Key": name}, status)
    target = headers["X-Amz-Target"].rpartition(".")[2]
    return Call(key, f"{service}:{target}", json.loads(body or b"{}"), status, json.loads(answer or b"{}"))


def server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on loopback, at a port that was free."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.daemon_threads = True
    return made


@contextmanager
def serving(made: ThreadingHTTPServer) -> Iterator[None]:
    """Serve for as long as the block lasts."""
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), name="serves", daemon=True)
    thread.start()
    try:
        yield
    finally:
        made.shutdown()
        thread.join(10)
        made.server_close()
