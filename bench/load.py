"""An HTTP/1.1 load generator that costs a fraction of what it measures.

Raw asyncio protocols over keep-alive connections with requests rendered beforehand: one request in flight on each
connection. A client library costs as much as the server and would measure itself on a machine with two cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import cast


def render(method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """One request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: bench",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Result:
    """What a run of the load met: seconds of each request, counts by status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], result: Result, done: asyncio.Future[None]) -> None:
        self._requests, self._result, self._done = requests, result, done
        self._buffer = b""
        self._start = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._start = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        head = buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : at + 30].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(buffer) < end + 4 + length:
            self._buffer = buffer
            return
        self._buffer = b""
        self._result.latencies.append(time.perf_counter() - self._start)
        status = int(head[9:12])
        self._result.statuses[status] = self._result.statuses.get(status, 0) + 1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection in the middle of a run"))


async def load(port: int, requests: Sequence[bytes], *, count: int, connections: int) -> Result:
    """Send `count` requests, round and round over those given, over `connections` connections to 127.0.0.1."""
    loop = asyncio.get_running_loop()
    result, source = Result(), islice(cycle(requests), count)
    futures: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    start = time.perf_counter()
    for future in futures:
        await loop.create_connection(lambda f=future: _Connection(source, result, f), "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(300):
        await asyncio.gather(*futures)
    result.seconds = time.perf_counter() - start
    return result
