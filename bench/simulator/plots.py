"""Pictures of the results; matplotlib is imported here and is no dependency of the project."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from bench.simulator.report import NAMES, Results, middle
from bench.simulator.settings import Settings

HELP = """Pictures need matplotlib, the bound scipy; neither is a dependency of the project:
    python -m pip install --target /tmp/plots matplotlib scipy
    PYTHONPATH=/tmp/plots python -m bench.simulator"""
COLOURS = {"tidegate": "#0b6e99", "adaptive": "#d9730d", "adaptive-core": "#e8b27a", "fixed": "#999999"}
SHOWN_S = {"trickle": 1200.0, "sawtooth": 2400.0}
"""Traces that repeat themselves are shown so far only."""
RATIO_MAX = 4.0
MARKS = ("o", "s", "^", "D", "v", "P")


def draw(results: Results, bounds: Mapping[str, Sequence[float]], settings: Settings, folder: Path) -> list[Path]:
    """Draw each trace's fleets and one picture of all costs and waits; returns what was written."""
    import_module("matplotlib").use("Agg")
    plt: Any = import_module("matplotlib.pyplot")

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for trace, sides in results.items():
        figure, axes = plt.subplots(figsize=(8, 3.2), dpi=80)
        _fleets(axes, trace, sides, settings)
        written.append(_save(figure, folder / f"{trace}.png"))
    figure, axes = plt.subplots(figsize=(8, 5), dpi=80)
    _scatter(axes, results, bounds)
    written.append(_save(figure, folder / "cost-and-wait.png"))
    plt.close("all")
    return written


def _save(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path)
    return path


def _fleets(axes: Any, trace: str, sides: Mapping[str, Sequence[Any]], settings: Settings) -> None:
    """Machines that the tasks at hand would fill, and both fleets, of the first seed."""
    ours, theirs = sides["tidegate"][0].samples, sides["adaptive"][0].samples
    end = min(SHOWN_S.get(trace, math.inf), max(ours[-1][0], theirs[-1][0]))
    unit, name = (3600.0, "hours") if end > 3 * 3600 else (60.0, "minutes")
    need = [(at / unit, min(settings.cloud.maximum, tasks / settings.cloud.threads)) for at, tasks, _ in ours]
    axes.fill_between(*zip(*need, strict=True), step="post", color="#dddddd", label="tasks at hand / threads")
    for side, samples in (("adaptive", theirs), ("tidegate", ours)):
        points = [(at / unit, machines) for at, _, machines in samples]
        axes.step(
            *zip(*points, strict=True),
            where="post",
            color=COLOURS[side],
            linewidth=1.1,
            label=NAMES[side].replace("`", ""),
        )
    axes.set_xlim(0, end / unit)
    axes.set_ylim(0, max(machines for _, _, machines in [*ours, *theirs]) * 1.08)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f"{name} since the start of the trace")
    axes.set_ylabel("machines")
    axes.set_title(trace, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, frameon=False)


def _scatter(axes: Any, results: Results, bounds: Mapping[str, Sequence[float]]) -> None:
    for mark, (trace, sides) in zip(MARKS, results.items(), strict=False):
        for side, outcomes in sides.items():
            ratio = median(one.cost / bound for one, bound in zip(outcomes, bounds[trace], strict=True))
            point = max(0.1, middle(outcomes, "p95")), min(RATIO_MAX, ratio)
            axes.scatter(*point, marker=mark, color=COLOURS[side], s=60, alpha=0.75)
        axes.scatter([], [], marker=mark, color="black", label=trace)
    for side, colour in COLOURS.items():
        axes.scatter([], [], marker="s", color=colour, label=NAMES[side].replace("`", ""))
    axes.set_xscale("log")
    axes.set_ylim(0.9, RATIO_MAX * 1.03)
    axes.set_xlabel("95th percentile of waiting (s; the left edge is 0)")
    axes.set_ylabel(f"cost / clairvoyant lower bound ({RATIO_MAX:g}: or more)")
    axes.set_title("Cost and waiting: the lower left is better", loc="left")
    axes.grid(visible=True, which="both", color="#eeeeee")
    axes.legend(fontsize=8, loc="upper center", ncols=2)
