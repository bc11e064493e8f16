"""`python -m bench.startup`: what starting costs, which Fargate bills.

Import of what each service's entry point imports, in fresh interpreters with bytecode at hand, beside the import of the
packages of others alone that it ends up with; and the time from the start of the local stack, as `make up` does it in a
warm clone, to its first answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

from tests.harness.process import Managed, free_port
from tests.harness.stack import ROOT
from tests.harness.waiting import eventually

SERVICES = {
    "API": "services.api.app, services.api.__main__",
    "worker": "services.worker.process, services.worker.supervisor",
    "autoscaler": "services.autoscaler.__main__",
}
LOADED = (
    "import sys, json; import {modules}; own = {{'services', 'bench', 'tests'}}; "
    "print(json.dumps([name for name, module in list(sys.modules.items()) if getattr(module, '__file__', None) "
    "and 'site-packages' in module.__file__ and name.partition('.')[0] not in own]))"
)


def seconds(statement: str) -> float:
    """How long a fresh interpreter takes to run this, without its own start."""
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    return float(_python(code).splitlines()[-1])


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


def imports(modules: str, rounds: int) -> tuple[float, float]:
    """Seconds of a service's imports, and of those of others' that are among them."""
    theirs = json.loads(_python(LOADED.format(modules=modules)).splitlines()[-1])
    # In the order in which they were loaded, so that each brings what it needs itself.
    alone = f"import importlib; [importlib.import_module(name) for name in {theirs!r}]"
    both = [(seconds(f"import {modules}"), seconds(alone)) for _ in range(rounds)]
    return median(each[0] for each in both), median(each[1] for each in both)


def first_answer(folder: Path) -> float:
    """Seconds from the start of the local stack to the result of a first request."""
    port = free_port()
    environment = {**os.environ, "API_PORT": str(port), "TIDEGATE_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    stack = Managed("local", [sys.executable, "-m", "services.local"], environment, folder)
    start = time.perf_counter()
    stack.start()
    try:
        eventually(lambda: _answers(port), "the first answer", seconds=120, pause=0.05)
        return time.perf_counter() - start
    finally:
        stack.terminate()


def _answers(port: int) -> bool:
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/api/v1/computations/fibonacci/tasks",
            json={"n": 10}, headers={"Prefer": "wait=10"}, trust_env=False, timeout=15,
        )  # fmt: skip
    except httpx.TransportError:
        return False
    return answer.status_code == 200


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interpreters of each kind (default: 7)")
    rounds = parser.parse_args().rounds
    print(f"medians of {rounds}, load average {os.getloadavg()[0]:.1f} before the start\n")
    print("| imports of | s | of others' packages alone (s) | ratio |\n|---|---|---|---|")
    for service, modules in SERVICES.items():
        own, theirs = imports(modules, rounds)
        print(f"| {service} | {own:.2f} | {theirs:.2f} | {own / theirs:.2f} |", flush=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        print(f"\nThe local stack's first answer, a warm clone: {first_answer(Path(folder)):.1f} s after its start.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
