"""The figures, each with two sides: what Tidegate does, and what it is held against.

A side measures itself once on a running stack. `__main__` lets the two take turns, so that noise of a shared machine
falls on both, and takes medians.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import httpx
from distributed import Client

from bench.computations import trivial
from bench.load import load, render
from services.compute.registry import register

CREATE = "/api/v1/computations/trivial/tasks"
CONNECTIONS = 32
MANY = 256
SINGLES = 4000
ONE_BY_ONE = 60
PAUSE_S = 0.02
BEST = float("inf")
"""`worker-saturation` with which plain tasks go fastest: all are sent to workers at once."""
COMPUTATION = register(trivial)
_seeds = itertools.count(int(time.time()) % 1_000_000 * 1000)


def seed() -> int:
    """A seed that no task has had."""
    return next(_seeds)


@dataclass(frozen=True)
class Target:
    """Where the parts of one bench run are."""

    api: int
    bare: int
    scheduler: str


@dataclass(frozen=True)
class Measured:
    """What one side came to; `part` is a second number of interest in the same unit."""

    value: float
    part: float | None = None


Side = Callable[[Target], Awaitable[Measured]]


@dataclass(frozen=True)
class Figure:
    """A figure: both sides, and what each of them measures; the parts say what their second numbers are."""

    ours: Side
    reference: Side
    what: str
    beside: str
    part: str | None = None
    beside_part: str | None = None


def _trivial(n: int) -> int:
    return n


async def _checked(port: int, requests: list[bytes], count: int, connections: int, statuses: set[int]) -> float:
    result = await load(port, requests, count=count, connections=connections)
    if not set(result.statuses) <= statuses:
        raise RuntimeError(f"the load met answers other than {statuses}: {result.statuses}")
    return result.rate


async def hits(target: Target, connections: int = CONNECTIONS) -> Measured:
    """POSTs a second of 1,000 distinct computed tasks."""
    await _warm(target.api)
    requests = [render("POST", CREATE, b'{"n":%d}' % n) for n in range(1000)]
    return Measured(await _checked(target.api, requests, 8000, connections, {200}))


async def bare_hits(target: Target, connections: int = CONNECTIONS) -> Measured:
    """The same load on a bare FastAPI endpoint with the same model."""
    requests = [render("POST", "/trivial", b'{"n":%d}' % n) for n in range(1000)]
    return Measured(await _checked(target.bare, requests, 8000, connections, {200}))


async def _warm(port: int) -> None:
    await _batch_done(port, json.dumps({"parameters": [{"n": n} for n in range(1000)]}).encode())


async def batches(target: Target) -> Measured:
    """Distinct trivial tasks a second, first byte sent to all DONE."""
    seed = next(_seeds)
    body = json.dumps({"parameters": [{"n": n, "seed": seed} for n in range(10_000)]}).encode()
    start = time.perf_counter()
    await _batch_done(target.api, body)
    return Measured(10_000 / (time.perf_counter() - start))


async def mapped(target: Target) -> Measured:
    """As many by `Client.map` and gather, with all of them at the workers at once; also with little, as ours."""
    async with _client(target, BEST) as client:
        best = await _mapped(client)
    async with _client(target) as client:
        return Measured(best, await _mapped(client))


async def _mapped(client: Client) -> float:
    start = time.perf_counter()
    await client.gather(client.map(_trivial, range(10_000), pure=False))
    return 10_000 / (time.perf_counter() - start)


@asynccontextmanager
async def _client(target: Target, saturation: float | None = None) -> AsyncIterator[Client]:
    """A client that nobody has tuned, of a scheduler with another `worker-saturation` if so wished."""
    async with Client(target.scheduler, asynchronous=True, set_as_default=False) as client:
        before = None if saturation is None else await client.run_on_scheduler(_saturate, saturation=saturation)
        try:
            yield client
        finally:
            if before is not None:
                await client.run_on_scheduler(_saturate, saturation=before)


def _saturate(dask_scheduler: Any, saturation: float) -> float:
    """Set a scheduler's `worker-saturation`, and answer what it was."""
    before = float(dask_scheduler.WORKER_SATURATION)
    dask_scheduler.WORKER_SATURATION = saturation
    return before


async def _batch_done(port: int, body: bytes) -> None:
    answer = await _post(port, "/api/v1/computations/trivial/batches", body)
    await _all_done(port, [item["task_id"] for item in answer["items"]])


async def _all_done(port: int, ids: list[str]) -> None:
    for at in range(0, len(ids), 10_000):
        body = json.dumps({"task_ids": ids[at : at + 10_000]}).encode()
        async with asyncio.timeout(120):
            while True:
                answer = await _post(port, "/api/v1/tasks/query", body, "wait=30")
                if answer["all_final"]:
                    break
        states = {task["state"] for task in answer["tasks"]}
        if states != {"DONE"}:
            raise RuntimeError(f"tasks ended as {states}")


async def _post(port: int, path: str, body: bytes, prefer: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **({"Prefer": prefer} if prefer else {})}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        answer = await http.post(path, content=body, headers=headers)
    if answer.status_code not in {200, 202}:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


async def singles(target: Target) -> Measured:
    """Distinct single POSTs a second from 32 connections to all DONE, and of these the accepted a second."""
    seed = next(_seeds)
    bodies = [b'{"n":%d,"seed":%d}' % (n, seed) for n in range(SINGLES)]
    requests = [render("POST", CREATE, body) for body in bodies]
    ids = [COMPUTATION.identify(COMPUTATION.validate_json(body)) for body in bodies]
    start = time.perf_counter()
    accepted = await _checked(target.api, requests, SINGLES, CONNECTIONS, {200, 202})
    await _all_done(target.api, ids)
    return Measured(SINGLES / (time.perf_counter() - start), accepted)


async def submitted(target: Target) -> Measured:
    """As many by `client.submit`, in a plain loop that waits for nothing, then gather."""
    async with _client(target, BEST) as client:
        start = time.perf_counter()
        futures = [client.submit(_trivial, n, pure=False) for n in range(SINGLES)]
        await client.gather(futures)
        return Measured(SINGLES / (time.perf_counter() - start))


async def latency(target: Target, pause: float = 0.0) -> Measured:
    """Milliseconds of one task by `Prefer: wait`, one after the other, on a system that has nothing else to do."""
    found = []
    for _ in range(ONE_BY_ONE):
        request = render("POST", CREATE, b'{"n":1,"seed":%d}' % next(_seeds), {"Prefer": "wait=10"})
        await asyncio.sleep(pause)
        result = await load(target.api, [request], count=1, connections=1)
        if result.statuses != {200: 1}:
            raise RuntimeError(f"no result in time: {result.statuses}")
        found.append(result.latencies[0] * 1000)
    return Measured(median(found))


async def awaited(target: Target, pause: float = 0.0) -> Measured:
    """Milliseconds of one `client.submit(...).result()` of a client that nobody has tuned, one after the other."""
    return Measured(await asyncio.to_thread(_awaited, target.scheduler, pause))


def _awaited(scheduler: str, pause: float) -> float:
    found = []
    with Client(scheduler, set_as_default=False) as client:
        for _ in range(ONE_BY_ONE):
            time.sleep(pause)
            start = time.perf_counter()
            client.submit(_trivial, next(_seeds), pure=False).result()
            found.append((time.perf_counter() - start) * 1000)
    return median(found)


FIGURES: dict[str, Figure] = {
    "hits": Figure(hits, bare_hits, "POST of a computed task, 32 connections (1/s)", "bare FastAPI (1/s)"),
    "hits256": Figure(
        partial(hits, connections=MANY),
        partial(bare_hits, connections=MANY),
        f"the same from {MANY} connections (1/s)",
        "bare FastAPI (1/s)",
    ),
    "batches": Figure(
        batches,
        mapped,
        "10,000 distinct tasks by the batch route, to all DONE (1/s)",
        "`Client.map` + gather, `worker-saturation: inf` (1/s)",
        beside_part="`Client.map` + gather, `worker-saturation: 1.1` (1/s)",
    ),
    "singles": Figure(
        singles,
        submitted,
        "4,000 distinct single POSTs, 32 connections, to all DONE (1/s)",
        "4,000 `client.submit` + gather, `worker-saturation: inf` (1/s)",
        "of these accepted (1/s)",
    ),
    "latency": Figure(
        latency,
        awaited,
        "one task after the other, POST to result by `Prefer: wait` (ms)",
        "`client.submit(...).result()`, untuned (ms)",
    ),
    "paused": Figure(
        partial(latency, pause=PAUSE_S),
        partial(awaited, pause=PAUSE_S),
        f"the same with {PAUSE_S * 1000:.0f} ms between two (ms)",
        "`client.submit(...).result()`, untuned (ms)",
    ),
}
