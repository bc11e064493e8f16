from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from services.local.errors import LocalError, PortInUse
from services.local.network import (
    LOOPBACK,
    claim_port,
    free_port,
    http_ok,
    reachable_host,
    redis_address,
    redis_answers,
)


def test_a_port_in_use_is_named_with_what_to_set() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} on 127.0.0.1 is in use .*API_PORT"):
            claim_port(LOOPBACK, port)


def test_a_free_port_is_kept_and_zero_becomes_one() -> None:
    port = free_port()
    assert claim_port(LOOPBACK, port) == port
    assert claim_port(LOOPBACK, 0) > 0


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(LocalError, match=r"cannot listen on port 8000 of 192\.0\.2\.1 .*API_HOST"):
        claim_port("192.0.2.1", 8000)


@pytest.mark.parametrize(("host", "expected"), [("0.0.0.0", LOOPBACK), ("::", LOOPBACK), ("::1", "[::1]"), ("a", "a")])
def test_what_to_put_into_a_url(host: str, expected: str) -> None:
    assert reachable_host(host) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache:6380/1", ("cache", 6380)),
        ("rediss://cache", ("cache", 6379)),
        ("unix:///run/valkey.sock", None),
    ],
)
def test_the_address_in_a_redis_url(url: str, expected: tuple[str, int] | None) -> None:
    assert redis_address(url) == expected


@pytest.mark.parametrize("url", ["cache:6379", "http://cache", "redis://cache:port", "redis://"])
def test_a_bad_redis_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(LocalError, match=r"^REDIS_URL .*mend or unset it"):
        redis_address(url)


@pytest.mark.parametrize(
    ("probe", "answer", "expected"),
    [
        (redis_answers, b"+PONG\r\n", True),
        (redis_answers, b"-LOADING Valkey is loading the dataset in memory\r\n", False),
        (lambda host, port: http_ok(host, port, "/readyz"), b"HTTP/1.1 200 OK\r\n\r\n", True),
        (lambda host, port: http_ok(host, port, "/readyz"), b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (lambda host, port: http_ok(host, port, "/readyz"), b"", False),
    ],
)
async def test_a_probe_believes_the_right_answer_only(
    probe: Callable[[str, int], Awaitable[bool]], answer: bytes, expected: bool
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server:
        assert await probe(LOOPBACK, server.sockets[0].getsockname()[1]) is expected


async def test_nobody_there_is_no_error() -> None:
    assert not await redis_answers(LOOPBACK, free_port())
