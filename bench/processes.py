"""`python -m bench.processes`: what more processes bring, and how soon a waiting client hears while much else runs.

- hits with two API processes beside one: the same load, shared by the two
- 10,000 distinct tasks by the batch route with 1, 2 and 4 worker processes of two threads
- 32 clients that wait by `Prefer: wait`, one task after the other, while 10,000 tasks of a batch run: milliseconds from
  the end of a task, as its record has it, to the client's answer
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

import httpx
import uvloop

from bench.figures import CONNECTIONS, CREATE, Target, batches, hits
from bench.load import load, render
from tests.harness.stack import ROOT, Stack

REQUESTS = 8000
WAITERS = 32
EACH = 6
"""Tasks that each waiter asks for."""


@contextmanager
def stack(
    folder: Path, *, apis: int = 1, processes: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """A stack with so many processes."""
    folder.mkdir()
    usual = {"COMPUTE_MODULES": "bench.computations", "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"}
    made = Stack(folder, {**usual, **(environment or {})})
    try:
        made.start(apis=apis, processes=processes)
        yield made
    finally:
        made.stop()


def target(made: Stack, api: int = 0) -> Target:
    """Where one of its APIs is."""
    return Target(made.apis[api].port, 0, made.environment["SCHEDULER_ADDRESS"])


async def shared_hits(made: Stack, ports: Sequence[int]) -> float:
    """Hits a second over these APIs, from 32 connections in all."""
    await hits(target(made))  # computes them
    requests = [render("POST", CREATE, b'{"n":%d}' % n) for n in range(1000)]
    share = len(ports)
    start = time.perf_counter()
    await asyncio.gather(
        *(load(port, requests, count=REQUESTS // share, connections=CONNECTIONS // share) for port in ports)
    )
    return REQUESTS / (time.perf_counter() - start)


async def delays(made: Stack) -> list[float]:
    """Milliseconds from a task's end to its waiting client's answer, while a batch runs."""
    port = made.apis[0].port
    seed = time.time_ns() % 1_000_000_000
    limits = httpx.Limits(max_connections=WAITERS + 2)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60, limits=limits
    ) as http:
        body = {"parameters": [{"n": n, "seed": seed} for n in range(10_000)]}
        answer = await http.post("/api/v1/computations/trivial/batches", json=body)
        answer.raise_for_status()
        ids = [item["task_id"] for item in answer.json()["items"]]

        async def waiter(number: int) -> list[float]:
            found = []
            for turn in range(EACH):
                body = json.dumps({"n": number, "seed": -seed - turn})
                asked = {"Content-Type": "application/json", "Prefer": "wait=30"}
                answer = await http.post(CREATE, content=body, headers=asked)
                now = time.time()
                if answer.status_code != 200:
                    raise RuntimeError(f"no result in time: {answer.status_code} {answer.text[:200]}")
                end = datetime.fromisoformat(answer.json()["finished_at"].replace("Z", "+00:00")).timestamp()
                found.append((now - end) * 1000)
            return found

        found = await asyncio.gather(*(waiter(number) for number in range(WAITERS)))
        left = await http.post("/api/v1/tasks/query", json={"task_ids": ids[-1:]}, headers={"Prefer": "wait=60"})
        left.raise_for_status()
    return [delay for each in found for delay in each]


async def more_apis(made: Stack, rounds: int) -> str:
    """Two APIs beside one."""
    ports = [api.port for api in made.apis]
    one, two = [], []
    for _ in range(rounds):
        one.append(await shared_hits(made, ports[:1]))
        two.append(await shared_hits(made, ports))
    ratios = [many / single for single, many in zip(one, two, strict=True)]
    return (
        f"| hits: two API processes beside one (1/s) | {median(two):,.0f} | {median(one):,.0f} | {median(ratios):.2f} |"
    )


async def waiting(made: Stack, rounds: int) -> str:
    """The waiters."""
    found = [delay for _ in range(rounds) for delay in await delays(made)]
    last = quantiles(found, n=100)[-1]
    return (
        f"| {WAITERS} clients by `Prefer: wait` beside 10,000 tasks: end of the task to its answer (ms) | "
        f"median {median(found):.0f}, 99 % {last:.0f}, longest {max(found):.0f} | | |"
    )


async def computed(made: Stack, rounds: int) -> float:
    """Tasks a second of a stack."""
    await batches(target(made))
    return median([(await batches(target(made))).value for _ in range(rounds)])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.processes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default: 5)")
    rounds = parser.parse_args().rounds
    print(f"{os.cpu_count()} cores, {rounds} rounds, load average {os.getloadavg()[0]:.1f} before the start\n")
    print("| figure | with more | with one | ratio |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        with stack(Path(name) / "apis", apis=2) as made:
            print(uvloop.run(more_apis(made, rounds)), flush=True)
            print(uvloop.run(waiting(made, rounds)), flush=True)
        rates = {}
        for processes in (1, 2, 4):
            with stack(Path(name) / f"workers{processes}", processes=processes) as made:
                rates[processes] = uvloop.run(computed(made, rounds))
        for processes in (2, 4):
            print(
                f"| 10,000 tasks: {processes} worker processes beside one (1/s) | {rates[processes]:,.0f} | "
                f"{rates[1]:,.0f} | {rates[processes] / rates[1]:.2f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
