"""The reference `taskiq`: a broker on Redis streams with its result backend, and one worker process.

`python taskiq_reference.py URL` starts the worker, waits for lines `SEED COUNT` on its standard input, and answers each
with the seconds from the first task sent to the last result there. It runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis.asyncio
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker  # type: ignore[import-not-found]

URL = os.environ.get("TASKIQ_URL") or sys.argv[1]
AT_ONCE = 200
"""Tasks that are sent side by side; a client that sends one after the other waits for each."""
THREADS = 2
results: Any = RedisAsyncResultBackend(redis_url=URL, result_ex_time=3600)
broker: Any = RedisStreamBroker(url=URL, queue_name="bench", maxlen=1_000_000).with_result_backend(results)


async def _trivial(n: int, seed: int = 0) -> int:
    return n + seed


# Named, since this file has another name in the worker.
trivial: Any = broker.register_task(_trivial, task_name="trivial")


async def measure(client: Any, seed: int, count: int) -> float:
    """Send so many tasks and wait for all of their results."""
    start = time.perf_counter()
    ids: list[str] = []
    for begin in range(0, count, AT_ONCE):
        sent = await asyncio.gather(*(trivial.kiq(n, seed) for n in range(begin, min(begin + AT_ONCE, count))))
        ids += [task.task_id for task in sent]
    end = time.monotonic() + 300
    while await client.exists(*ids) < count:
        if time.monotonic() > end:
            raise TimeoutError("taskiq has not computed all tasks in time")
        await asyncio.sleep(0.01)
    await client.mget(ids)
    return time.perf_counter() - start


def start_worker() -> subprocess.Popen[bytes]:
    """One worker process."""
    command = [sys.executable, "-m", "taskiq", "worker", "taskiq_reference:broker", "--workers", "1"]
    command += ["--max-threadpool-threads", str(THREADS), "--log-level", "WARNING"]
    place = {**os.environ, "TASKIQ_URL": URL, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(command, env=place, cwd=Path(__file__).parent)


async def main() -> None:
    """Serve measurements until the input ends."""
    worker = start_worker()
    client = redis.asyncio.Redis.from_url(URL)
    await broker.startup()
    try:
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            print(await measure(client, int(line[0]), int(line[1])), flush=True)
    finally:
        worker.terminate()
        worker.wait(30)
        await broker.shutdown()
        await client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
