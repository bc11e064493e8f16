"""A server behind TLS, as ElastiCache is: its certificate is checked against a CA file, or the system's authorities.

The test servers speak no TLS themselves: a relay in front of one does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.compute.errors import StoreUnavailable
from services.compute.models import Priority
from services.compute.settings import RedisSettings
from services.compute.store import Store
from tests.contracts.store.steps import Blocking, submission
from tests.harness.certificates import Authority
from tests.servers import running

AUTHORITY = Authority()


@contextlib.contextmanager
def relay(context: ssl.SSLContext, target: int) -> Iterator[int]:
    """Take TLS off connections and lead them to a port of this machine; the port to connect to."""
    loop = asyncio.new_event_loop()
    open_tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        open_tasks.discard(task)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:

        async def end() -> None:
            server.close()
            for task in list(open_tasks):
                task.cancel()
            await asyncio.gather(*open_tasks, return_exceptions=True)
            await asyncio.sleep(0.05)  # transports say good-bye

        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("tls")
    member = AUTHORITY.issue(address="127.0.0.1")
    (directory / "cert.pem").write_text(member.cert)
    (directory / "key.pem").write_text(member.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    with (
        running("valkey", directory / "server", "--rename-command", "CONFIG", "") as server,
        relay(context, server.port) as port,
    ):
        yield f"rediss://127.0.0.1:{port}/0"


@pytest.fixture
def authorities(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(AUTHORITY.ca)
    return path


def store(kind: str, url: str, **options: Any) -> Any:
    settings = RedisSettings(redis_url=url, **options)
    return Store.from_settings(settings) if kind == "blocking" else Blocking(settings)


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
@pytest.mark.parametrize("trust", ["file", "system"])
def test_a_certificate_that_is_trusted(
    kind: str, trust: str, url: str, authorities: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trust == "system":  # OpenSSL's own variable stands for the system's authorities
        monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    ours = store(kind, url, redis_ca_file=authorities if trust == "file" else None)
    ours.submit([submission(1)], priority=Priority.BATCH)
    assert ours.depth().batch >= 1
    ours.close()


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_a_certificate_that_is_not(kind: str, url: str, authorities: Path) -> None:
    stranger = store(kind, url)
    with pytest.raises(StoreUnavailable, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        stranger.depth()
    stranger.close()
    elsewhere = store(kind, url.replace("127.0.0.1", "localhost"), redis_ca_file=authorities)
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate.*mismatch|hostname"):
        elsewhere.depth()
    elsewhere.close()
