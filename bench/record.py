"""`python -m bench.record queues idle …`: run parts of the bench, and put what they print into `bench/README.md`.

Without names all of them, one after the other, which takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

README = Path(__file__).with_name("README.md")
ROOT = README.parent.parent
PARTS = ("queues", "processes", "timeline", "scripts", "million", "growth", "idle", "startup")
PROGRESS = ("round ",)
LIMIT_S = 1800.0


def put(text: str, name: str, found: str) -> str:
    """`text` with what stands between the marks of a part replaced.

    Raises:
        ValueError: the marks are missing.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, mark, rest = text.partition(begin)
    _, close, tail = rest.partition(end)
    if not mark or not close:
        raise ValueError(f"{README.name} has no {begin} and {end} after it: add them where the figures belong")
    return f"{head}{begin}\n\n{found}\n\n{end}{tail}"


def run(name: str) -> str:
    """What a part prints, without the lines that only tell of its progress."""
    command = [sys.executable, "-m", f"bench.{name}"]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S)
    lines = [line for line in answer.stdout.splitlines() if not line.startswith(PROGRESS)]
    return "\n".join(lines).strip()


def main() -> int:
    """Run the parts that were named, and write down what they found."""
    parser = argparse.ArgumentParser(prog="python -m bench.record", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which (default: all)")
    parts = list(dict.fromkeys(parser.parse_args().parts)) or PARTS
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    where = f"commit {commit.stdout.strip() or 'unknown'}, Python {platform.python_version()}, {os.cpu_count()} cores"
    for name in parts:
        found = f"{datetime.now(UTC):%Y-%m-%d}, {where}. {run(name)}"
        print(f"{name}: {found}\n", flush=True)
        README.write_text(put(README.read_text(encoding="utf-8"), name, found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
