"""TLS in front of a server that has none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.harness.certificates import Certificate

PIECE = 64 * 1024


class TlsProxy:
    """Ends TLS at a free port and hands on what it hears.

    Args:
        to: port of the server.
        certificate: of this one.
        directory: for its files.
    """

    def __init__(self, to: int, certificate: Certificate, directory: Path) -> None:
        self._to = to
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = [directory / "server.pem", directory / "server.key"]
        for file, text in zip(files, (certificate.cert, certificate.key), strict=True):
            file.touch(0o600)
            file.write_text(text)
        self._context.load_cert_chain(files[0], files[1])
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve for as long as the block lasts."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="tls", daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(self._start(), loop).result(10)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._stop(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._link, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection("127.0.0.1", self._to)
                try:
                    ways = [asyncio.ensure_future(way) for way in (_pipe(reader, there[1]), _pipe(there[0], writer))]
                    try:
                        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for way in ways:
                            way.cancel()
                        await asyncio.gather(*ways, return_exceptions=True)
                finally:
                    there[1].close()
        finally:
            writer.transport.abort()
            self._links.discard(task)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
