"""`python -m bench.million`: a queue of a million tasks, beside one of a thousand.

Workers are stopped, tasks come by the batch route. Memory of the server for each queued task and of the API; the time
of one round of dispatch (a `take` of 1,000) and of the calls of one round of reconcile (`due` and `postpone` of as
many), in turns on both queues; then a worker starts and computes 50,000 of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import redis
import uvloop

from bench.figures import COMPUTATION, batches, seed
from bench.growth import resident
from bench.processes import stack, target
from services.compute.models import TaskError
from services.compute.settings import RedisSettings
from services.compute.store import AsyncStore
from services.compute.store.types import Charge, Handback
from tests.harness.stack import Stack

BATCH = 10_000
FEW = 1_000
ROUND = 1_000
DRAIN = 50_000
ROUNDS = 9
DAY_MS = 86_400_000


def used(made: Stack) -> int:
    """Bytes that the server's data take."""
    with redis.Redis.from_url(made.environment["REDIS_URL"]) as client:
        memory: Any = client.info("memory")
        return int(memory["used_memory"])


def queue(made: Stack, count: int) -> int:
    """Submit so many tasks; the most that the API has taken meanwhile, in bytes."""
    client = made.client(timeout=120.0)
    most = 0
    for begin in range(0, count, BATCH):
        own = seed()
        body = {"parameters": [{"n": n, "seed": own} for n in range(min(BATCH, count - begin))]}
        sent = json.dumps(body, separators=(",", ":")).encode()
        answer = client.http.post(
            "/api/v1/computations/trivial/batches", content=sent, headers={"Content-Type": "application/json"}
        )
        answer.raise_for_status()
        most = max(most, resident(made.apis[0]))
        if begin and begin % 100_000 == 0:
            print(f"{begin:,} queued", file=sys.stderr, flush=True)
    return most


async def rounds(store: AsyncStore) -> tuple[float, float]:
    """Milliseconds of one dispatch and of one reconcile; everything is put back."""
    start = time.perf_counter()
    taken = await store.take(
        limit=ROUND,
        bound=10**9,
        threads=2,
        versions={"trivial": [COMPUTATION.version]},
        scheduler="nobody",
        check_after_ms=0,
    )
    dispatch = time.perf_counter() - start
    start = time.perf_counter()
    due = await store.due(ROUND)
    await store.postpone([entry.task_id for entry in due], 60_000)
    reconcile = time.perf_counter() - start
    items = [Handback(task_id, bundle.dispatch) for bundle in taken.bundles for task_id in bundle.task_ids]
    if not len(items) == len(due) == ROUND:
        raise RuntimeError(
            f"{taken.depth} {taken.failed} {taken.paced} {len(items)} of {ROUND} tasks were taken, {len(due)} were due"
        )
    await store.requeue(
        items[::-1],
        Charge.FREE,
        delay_ms=0,
        max_attempts=3,
        reason=TaskError(type="bench", message="never used"),
        result_ttl_ms=DAY_MS,
    )
    return dispatch * 1000, reconcile * 1000


async def compare(few: Stack, many: Stack) -> dict[str, tuple[float, float]]:
    """Medians of both rounds, with few and with many queued."""
    stores = [store_of(made) for made in (few, many)]
    found: list[list[tuple[float, float]]] = [[], []]
    try:
        for turn, side in itertools.product(range(ROUNDS), (0, 1)):
            at = side if turn % 2 else 1 - side
            found[at].append(await rounds(stores[at]))
    finally:
        for store in stores:
            await store.aclose()
    return {
        name: (median(each[at] for each in found[0]), median(each[at] for each in found[1]))
        for at, name in enumerate(("dispatch", "reconcile"))
    }


def drain(made: Stack) -> float:
    """Tasks a second of a worker that comes, from its first ones to 50,000."""
    made.add_worker()
    all_of_them = left = uvloop.run(waiting(made))
    start = 0.0
    end = time.monotonic() + 300
    while left > all_of_them - DRAIN and left:
        if time.monotonic() > end:
            raise TimeoutError(f"{left:,} tasks wait still")
        time.sleep(0.1)
        now = uvloop.run(waiting(made))
        if now < left and not start:
            start, all_of_them = time.perf_counter(), now
        left = now
    return (all_of_them - left) / (time.perf_counter() - start)


async def waiting(made: Stack) -> int:
    """Tasks that wait."""
    store = store_of(made)
    try:
        return (await store.depth()).waiting
    finally:
        await store.aclose()


def store_of(made: Stack) -> AsyncStore:
    """A stack's store."""
    where = {"redis_url": made.environment["REDIS_URL"], "redis_prefix": made.environment["REDIS_PREFIX"]}
    return AsyncStore.from_settings(RedisSettings.model_validate(where))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.million", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks in the long queue (default: 1,000,000)")
    count = parser.parse_args().tasks
    load = os.getloadavg()[0]
    more = {"QUEUE_MAX": str(2 * count)}
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name,
        stack(Path(name) / "few") as few,
        stack(Path(name) / "many", environment=more) as many,
    ):
        for made in (few, many):  # how long a task takes is known from here on
            uvloop.run(batches(target(made)))
            made.workers[0].terminate()
        before, api = used(many), resident(many.apis[0])
        start = time.perf_counter()
        queue(few, FEW)
        most = queue(many, count)
        took = time.perf_counter() - start
        weight = (used(many) - before) / count
        after = resident(many.apis[0])
        for made in (few, many):  # whose own rounds would come between
            made.apis[0].terminate()
        found = uvloop.run(compare(few, many))
        many.add_api()
        many.wait_ready()
        rate = drain(many)
    print(f"{count:,} queued in {took:.0f} s, load average {load:.1f} before the start\n")
    print("| figure | | |\n|---|---|---|")
    print(f"| server's memory for each queued task (bytes) | {weight:.0f} | |")
    print(f"| API's memory before, at most, after (MB) | {api / 1e6:.0f}, {most / 1e6:.0f}, {after / 1e6:.0f} | |")
    for what, (short, long) in found.items():
        print(
            f"| a round of {what}, {FEW:,} and {count:,} queued (ms) | {short:.1f}, {long:.1f} | {long / short:.2f} |"
        )
    print(f"| {DRAIN:,} of them computed by one worker process (1/s) | {rate:,.0f} | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
