"""The figures, each a function of a running stack: what was measured and what it is held against.

Every function measures one round of both sides; `__main__` interleaves the rounds and takes medians, so that noise of a
shared machine falls on both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx
from distributed import Client

from bench.load import load, render

CREATE = "/api/v1/computations/trivial/tasks"
CONNECTIONS = 32
_seeds = itertools.count(int(time.time()) % 1_000_000 * 1000)


@dataclass(frozen=True)
class Target:
    """Where the parts of one bench run are."""

    api: int
    bare: int
    scheduler: str


@dataclass(frozen=True)
class Round:
    """One round of one figure, both sides in the same unit."""

    ours: float
    reference: float


def _trivial(n: int) -> int:
    return n


async def _checked(port: int, requests: list[bytes], count: int, connections: int, statuses: set[int]) -> float:
    result = await load(port, requests, count=count, connections=connections)
    if not set(result.statuses) <= statuses:
        raise RuntimeError(f"the load met answers other than {statuses}: {result.statuses}")
    return result.rate


async def hits(target: Target) -> Round:
    """POSTs a second of 1,000 distinct computed tasks, beside a bare FastAPI endpoint with the same model."""
    bodies = [b'{"n":%d}' % n for n in range(1000)]
    await _warm(target.api)
    ours = await _checked(target.api, [render("POST", CREATE, body) for body in bodies], 8000, CONNECTIONS, {200})
    bare = await _checked(target.bare, [render("POST", "/trivial", body) for body in bodies], 8000, CONNECTIONS, {200})
    return Round(ours, bare)


async def _warm(port: int) -> None:
    body = json.dumps({"parameters": [{"n": n} for n in range(1000)]}).encode()
    await _batch_done(port, [body])


async def batches(target: Target) -> Round:
    """Distinct trivial tasks a second, first byte sent to all DONE, beside `Client.map` and gather."""
    seed = next(_seeds)
    body = json.dumps({"parameters": [{"n": n, "seed": seed} for n in range(10_000)]}).encode()
    start = time.perf_counter()
    await _batch_done(target.api, [body])
    ours = 10_000 / (time.perf_counter() - start)

    async with Client(target.scheduler, asynchronous=True, set_as_default=False) as client:
        start = time.perf_counter()
        futures = client.map(_trivial, range(10_000), pure=False)
        await client.gather(futures)
        reference = 10_000 / (time.perf_counter() - start)
    return Round(ours, reference)


async def _batch_done(port: int, bodies: list[bytes]) -> None:
    ids: list[str] = []
    for body in bodies:
        answer = await _post(port, "/api/v1/computations/trivial/batches", body)
        ids += [item["task_id"] for item in answer["items"]]
    await _all_done(port, ids)


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


async def singles(target: Target) -> Round:
    """Distinct single POSTs a second from 32 connections to all DONE; the reference is what was accepted a second."""
    seed = next(_seeds)
    bodies = [b'{"n":%d,"seed":%d}' % (n, seed) for n in range(4000)]
    start = time.perf_counter()
    accepted = await _checked(
        target.api, [render("POST", CREATE, body) for body in bodies], 4000, CONNECTIONS, {200, 202}
    )
    await _batch_done(target.api, [json.dumps({"parameters": [json.loads(body) for body in bodies]}).encode()])
    return Round(4000 / (time.perf_counter() - start), accepted)


async def latency(target: Target) -> Round:
    """Milliseconds of one task on an idle system by `Prefer: wait`, beside an untuned `submit().result()`."""
    ours, reference = [], []
    async with Client(target.scheduler, asynchronous=True, set_as_default=False) as client:
        for _ in range(40):
            body = b'{"n":1,"seed":%d}' % next(_seeds)
            await asyncio.sleep(0.02)
            result = await load(
                target.api, [render("POST", CREATE, body, {"Prefer": "wait=10"})], count=1, connections=1
            )
            if result.statuses != {200: 1}:
                raise RuntimeError(f"no result in time: {result.statuses}")
            ours.append(result.latencies[0] * 1000)
            await asyncio.sleep(0.02)
            start = time.perf_counter()
            await client.submit(_trivial, next(_seeds), pure=False)
            reference.append((time.perf_counter() - start) * 1000)
    return Round(median(ours), median(reference))


FIGURES: dict[str, tuple[Callable[[Target], Awaitable[Round]], str, str]] = {
    "hits": (hits, "POST of a computed task, 32 connections (1/s)", "bare FastAPI (1/s)"),
    "batches": (batches, "10,000 distinct tasks by the batch route, to all DONE (1/s)", "`Client.map` + gather (1/s)"),
    "singles": (singles, "4,000 distinct single POSTs, 32 connections, to all DONE (1/s)", "of these accepted (1/s)"),
    "latency": (
        latency,
        "one task on an idle system, POST to result by `Prefer: wait` (ms)",
        "untuned `submit().result()` (ms)",
    ),
}
