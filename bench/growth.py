"""`python -m bench.growth`: what API and scheduler keep of tasks that are done.

Ten rounds of 10,000 distinct trivial tasks by the batch route; the resident memory of both processes after each, and
bytes a task after the first round, when pools and caches have filled.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import psutil
import uvloop

from bench.figures import batches
from bench.processes import stack, target
from tests.harness.process import Managed

TASKS = 10_000


def resident(process: Managed) -> int:
    """Bytes of a process and its children."""
    root = psutil.Process(process.pid)
    return sum(each.memory_info().rss for each in (root, *root.children(recursive=True)))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rounds of 10,000 tasks (default: 10)")
    rounds = parser.parse_args().rounds
    print(f"{rounds} rounds of {TASKS:,} tasks, load average {os.getloadavg()[0]:.1f} before the start\n")
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, stack(Path(name) / "stack") as made:
        watched = {"API": made.apis[0], "scheduler": made.scheduler, "worker": made.workers[0]}
        seen: dict[str, list[int]] = {what: [] for what in watched}
        for _ in range(rounds):
            uvloop.run(batches(target(made)))
            for what, process in watched.items():
                seen[what].append(resident(process))
    print("| process | MB after the first round | MB after the last | bytes a task since |\n|---|---|---|---|")
    for what, sizes in seen.items():
        growth = (sizes[-1] - sizes[0]) / (TASKS * (rounds - 1))
        print(f"| {what} | {sizes[0] / 1e6:.1f} | {sizes[-1] / 1e6:.1f} | {growth:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
