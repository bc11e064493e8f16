"""Ports and probes: a free port, a port in use, and whether a server answers. No client library: quick."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from typing import Final
from urllib.parse import urlsplit

from services.local.errors import LocalError, PortInUse

LOOPBACK: Final = "127.0.0.1"
INTERNAL_PORTS: Final = range(20_000, 32_000)


def free_port(host: str = LOOPBACK) -> int:
    """A TCP port that nobody listens on.

    Below the range that operating systems give to outgoing connections: a part that is restarted finds it free still.

    Raises:
        LocalError: there is none.
    """
    for port in random.sample(INTERNAL_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise LocalError(f"no free port on {host} between {INTERNAL_PORTS[0]} and {INTERNAL_PORTS[-1]}: end what uses them")


def claim_port(host: str, port: int) -> int:
    """The port that the API will listen on: the given one, or a free one for 0.

    Raises:
        PortInUse: something listens there.
        LocalError: this user or machine cannot listen there.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            # As the API itself does: connections of an earlier run that linger are no reason to refuse.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
            bound: int = probe.getsockname()[1]
            return bound
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} on {host} is in use by another program: set API_PORT to a free one, "
                f"as in `API_PORT={port + 1 if port < 65535 else 8000} make up`, or to 0 for any"
            ) from None
        raise LocalError(
            f"the API cannot listen on port {port} of {host} ({error.strerror or error}): set API_HOST and API_PORT"
        ) from error


def reachable_host(host: str) -> str:
    """The host to put into a URL for a server that listens on `host`."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  (compared, not bound)
        return LOOPBACK
    return f"[{host}]" if ":" in host else host


async def exchange(host: str, port: int, request: bytes, *, limit: float = 2.0) -> bytes:
    """The first bytes a server answers to `request` (none for no request: connecting is enough).

    Raises:
        OSError, TimeoutError: it does not answer within `limit` seconds.
    """
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            if not request:
                return b""
            writer.write(request)
            await writer.drain()
            return await reader.read(4096)
        finally:
            writer.close()


async def answers(host: str, port: int, request: bytes = b"", expected: bytes = b"") -> bool:
    """Whether the server at host and port accepts a connection and its answer begins as expected."""
    try:
        answer = await exchange(host, port, request)
    except (OSError, TimeoutError):
        return False
    return answer.startswith(expected)


async def redis_answers(host: str, port: int) -> bool:
    """Whether a Redis or Valkey server is there and has read its files."""
    return await answers(host, port, b"PING\r\n", b"+PONG")


async def http_ok(host: str, port: int, path: str) -> bool:
    """Whether `GET path` answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    return await answers(host, port, request, b"HTTP/1.1 200")


async def http_body(host: str, port: int, path: str, *, limit: float = 2.0, most: int = 1 << 20) -> bytes:
    """What `GET path` answers, at most so many bytes; nothing unless it answers 200 in time."""
    request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    answer = b""
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                while len(answer) < most and (piece := await reader.read(65536)):
                    answer += piece
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else b""


def redis_address(url: str) -> tuple[str, int] | None:
    """Host and port that a Redis URL names; None for a Unix socket.

    Raises:
        LocalError: it is no Redis URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return None
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise LocalError("REDIS_URL is not of the form redis://host:port/0 (rediss:// for TLS): mend or unset it")
    try:
        return parts.hostname, parts.port or 6379
    except ValueError as error:
        raise LocalError(f"REDIS_URL has no usable port ({error}): mend or unset it") from None
