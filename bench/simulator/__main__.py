"""`python -m bench.simulator [trace…]`: all sides on these traces (default: all), beside the clairvoyant bound.

With `--write` the tables go to `bench/AUTOSCALING.md` and the pictures to `docs/autoscaling/`. A day of the real
controller takes one to three minutes of a core for each seed, all the other traces together about one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bench.simulator import plots, report
from bench.simulator.bound import bound
from bench.simulator.run import SIDES, Outcome, outcome
from bench.simulator.scale import measure
from bench.simulator.settings import Settings
from bench.simulator.traces import TRACES, make

ROOT = Path(__file__).parents[2]
MARK = "<!-- results -->"
SEEDS = (41, 42, 43)
"""The policy was chosen on others."""
SWEEP: tuple[Mapping[str, float], ...] = (
    {},
    {"target_duration": 5.0},
    {"target_duration": 10.0},
    {"target_duration": 50.0},
    {"stabilization_window": 5.0},
    {"stabilization_window": 15.0},
    {"stabilization_window": 30.0},
    {"fluctuation_window": 0.0},
    {"fluctuation_window": 120.0},
    {"autoscaler_interval": 2.0},
    {"autoscaler_interval": 10.0},
)
SWEPT = ("sawtooth", "heavy-tail")


def _bounds(results: report.Results, settings: Settings, seeds: Sequence[int]) -> dict[str, list[float]]:
    """The bound of each trace and seed at our own 95th percentile."""
    return {
        name: [
            bound(make(name, settings.traces, seed), settings, ours.p95, ours.makespan)
            for seed, ours in zip(seeds, sides["tidegate"], strict=True)
        ]
        for name, sides in results.items()
    }


def _run(pool: ProcessPoolExecutor, names: Sequence[str], settings: Settings, seeds: Sequence[int]) -> report.Results:
    jobs = {
        name: {side: [pool.submit(outcome, name, side, settings, seed) for seed in seeds] for side in SIDES}
        for name in names
    }
    results: dict[str, dict[str, list[Outcome]]] = {}
    for name, sides in jobs.items():
        results[name] = {side: [job.result() for job in futures] for side, futures in sides.items()}
        print(f"{name}: done", file=sys.stderr, flush=True)
    return results


def _swept(pool: ProcessPoolExecutor, names: Sequence[str], settings: Settings, seed: int) -> str:
    """The trade-off: one setting at a time, one seed."""
    wanted = [(name, changes) for name in SWEPT if name in names for changes in SWEEP]
    jobs = [
        pool.submit(outcome, name, "tidegate", Settings(ours={**settings.ours, **changes}), seed)
        for name, changes in wanted
    ]
    return report.sweep([(*each, [job.result()]) for each, job in zip(wanted, jobs, strict=True)])


def _conditions() -> str:
    load = os.getloadavg()[0]
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, Python {platform.python_version()}, "
        f"distributed {version('distributed')}, "
        f"{os.cpu_count()} cores, load average {load:.1f}."
    )


def main() -> int:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description=__doc__)
    parser.add_argument("traces", nargs="*", choices=[*TRACES, []], help="which traces (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--no-sweep", action="store_true", help="leave out the table of other settings")
    parser.add_argument("--write", action="store_true", help="write bench/AUTOSCALING.md and docs/autoscaling/*.png")
    arguments = parser.parse_args()
    if find_spec("scipy") is None or find_spec("matplotlib") is None:
        print(plots.HELP, file=sys.stderr)
        return 1
    settings, seeds, names = Settings(), arguments.seeds, arguments.traces or list(TRACES)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        results = _run(pool, names, settings, seeds)
        swept = "" if arguments.no_sweep else _swept(pool, names, settings, seeds[0])
    bounds = _bounds(results, settings, seeds)
    rounds = {name: milliseconds for name, (milliseconds, _) in measure().items()}
    parts = [
        f"{_conditions()}\n\n{report.assumptions(settings, seeds)}",
        report.table(results, bounds),
        "## What was to be reached\n\n" + report.verdicts(results, bounds),
        f"## Other settings\n\nOne at a time, seed {seeds[0]}.\n\n{swept}" if swept else "",
        "## At size\n\n" + report.scale(rounds),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    print(text)
    if arguments.write:
        page = ROOT / "bench" / "AUTOSCALING.md"
        page.write_text(f"{page.read_text().split(MARK)[0]}{MARK}\n\n{text}")
        for path in plots.draw(results, bounds, settings, ROOT / "docs" / "autoscaling"):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1024:.0f} KB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
