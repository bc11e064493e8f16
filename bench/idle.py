"""`python -m bench.idle`: what a stack costs that has nothing to do: CPU of each of its processes."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.processes import stack
from tests.harness.process import Managed, free_port

SETTLE_S = 10.0
"""After the start: imports, first looks, the first rewrite of the append-only file."""


def spent(process: Managed) -> float:
    """Seconds of CPU of a process and its children so far."""
    root = psutil.Process(process.pid)
    times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look (default: 60)")
    seconds = parser.parse_args().seconds
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, stack(Path(name) / "stack") as made:
        port = free_port()
        environment = {
            **made.environment,
            "AUTOSCALER_HOST": "127.0.0.1",
            "AUTOSCALER_PORT": str(port),
            "FLEET": "local",
            "OBSERVE_ONLY": "true",
        }
        command = [sys.executable, "-m", "services.autoscaler"]
        autoscaler = Managed("autoscaler", command, environment, made.directory)
        autoscaler.start()
        try:
            watched = {
                "Valkey": made.valkey,
                "scheduler": made.scheduler,
                "worker (supervisor and process)": made.workers[0],
                "API": made.apis[0],
                "autoscaler": autoscaler,
            }
            time.sleep(SETTLE_S)
            if not autoscaler.running:
                raise RuntimeError(f"the autoscaler has ended:\n{autoscaler.tail()}")
            before = {what: spent(process) for what, process in watched.items()}
            time.sleep(seconds)
            found = {what: (spent(process) - before[what]) / seconds for what, process in watched.items()}
        finally:
            autoscaler.terminate()
    print(f"{seconds:.0f} s without work, load average {load:.1f} before the start\n")
    print("| process | % of a core | CPU seconds an hour |\n|---|---|---|")
    for what, share in found.items():
        print(f"| {what} | {100 * share:.2f} | {3600 * share:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
