"""`python -m bench.timeline`: where the milliseconds of one task on an idle system go.

Each step of a task calls the server, and the server's MONITOR says when: medians over many tasks of the time from the
request's first byte to each call, and to the answer. What lies between `take` and `start` is Dask's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import redis
import uvloop

from bench.figures import CREATE, batches, seed
from bench.load import load, render
from bench.processes import stack, target
from services.compute.store.scripts import script

STEPS: Sequence[tuple[str, str]] = (
    ("submit", "request read, validated and identified"),
    ("take", "submitted; the dispatcher is awake"),
    ("start", "through Dask's client, scheduler and worker, to the thread that runs it"),
    ("finish", "run"),
    ("get", "stored and announced; the API has heard"),
)
"""Scripts in their order, and what has happened before each; of several calls the last one counts."""
SETTLE_S = 0.03


@contextmanager
def monitored(url: str) -> Iterator[list[tuple[float, str]]]:
    """When the server was called for which script, as it goes on."""
    names = {script(name).sha: name for name, _ in STEPS}
    found: list[tuple[float, str]] = []
    client = redis.Redis.from_url(url)
    ready = threading.Event()

    def listen() -> None:
        with client.monitor() as monitor:
            ready.set()
            try:
                for each in monitor.listen():
                    words: list[str] = each["command"].split(None, 2)
                    if len(words) > 1 and words[0] == "EVALSHA" and words[1] in names:
                        found.append((float(each["time"]), names[words[1]]))
            except (redis.ConnectionError, ValueError, OSError):
                return  # the server has ended

    thread = threading.Thread(target=listen, name="monitor", daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the server does not let itself be monitored")
    yield found


async def one(port: int, calls: list[tuple[float, str]]) -> dict[str, float]:
    """Milliseconds from the first byte to each step of one task, and to its answer."""
    request = render("POST", CREATE, b'{"n":1,"seed":%d}' % seed(), {"Prefer": "wait=10"})
    await asyncio.sleep(SETTLE_S)
    calls.clear()
    result = await load(port, [request], count=1, connections=1)
    end = time.time()
    await asyncio.sleep(SETTLE_S)
    start = end - result.latencies[0]
    steps = {name: (when - start) * 1000 for when, name in calls if start <= when <= end}
    return {**steps, "answer": (end - start) * 1000}


async def measure(made: Any, count: int) -> dict[str, float]:
    """Medians of so many tasks."""
    await batches(target(made))
    with monitored(made.environment["REDIS_URL"]) as calls:
        found = [await one(made.apis[0].port, calls) for _ in range(count)]
    names = [name for name, _ in STEPS] + ["answer"]
    return {name: median(each[name] for each in found if name in each) for name in names}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.timeline", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100, help="how many tasks (default: 100)")
    count = parser.parse_args().tasks
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, stack(Path(name) / "stack") as made:
        found = uvloop.run(measure(made, count))
    print(f"{count} tasks, one after the other, load average {load_before:.1f} before the start\n")
    print("| ms | step | what had to be done for it | reached after (ms) |\n|---|---|---|---|")
    before = 0.0
    for step, what in (*STEPS, ("answer", "read, rendered and sent")):
        print(f"| {found[step] - before:.2f} | {step} | {what} | {found[step]:.2f} |")
        before = found[step]
    return 0


if __name__ == "__main__":
    sys.exit(main())
