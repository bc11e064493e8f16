"""Tables of what came out, as Markdown, and whether what was to be reached was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.simulator.run import Outcome
from bench.simulator.scale import MACHINES, TASKS
from bench.simulator.settings import Settings
from infra import prices as list_prices

Results = Mapping[str, Mapping[str, Sequence[Outcome]]]
"""By trace and side; one outcome a seed, in the order of the seeds."""

EQUAL_S = 1.0
EQUAL_SHARE = 0.01
"""95th percentiles that differ by no more than a second or a hundredth are equal: start latencies scatter by more."""
BOUND_MAX = 1.3
BOUNDED = ("burst", "diurnal", "heavy-tail")

NAMES = {
    "tidegate": "Tidegate",
    "adaptive": "`Adaptive` on `FargateCluster`",
    "adaptive-core": "`Adaptive`, not waiting for starts",
    "fixed": "fixed fleet of the maximum",
}


def middle(outcomes: Sequence[Outcome], name: str) -> float:
    """The median of one figure."""
    return float(median(getattr(each, name) for each in outcomes))


def table(results: Results, bounds: Mapping[str, Sequence[float]]) -> str:
    """All figures of all sides."""
    lines = [
        "| trace | side | cost ($) | of the bound | wait p50 (s) | p95 (s) | tasks that waited | wasted thread-seconds "
        "| makespan (s) | machines started | runs cut off |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for trace, sides in results.items():
        for side, outcomes in sides.items():
            ratio = median(one.cost / bound for one, bound in zip(outcomes, bounds[trace], strict=True))
            lines.append(
                f"| {trace} | {NAMES[side]} | {middle(outcomes, 'cost'):.4f} | {ratio:.2f} "
                f"| {middle(outcomes, 'p50'):.1f} | {middle(outcomes, 'p95'):.1f} "
                f"| {middle(outcomes, 'waited'):.1%} | {middle(outcomes, 'wasted'):,.0f} "
                f"| {middle(outcomes, 'makespan'):,.0f} | {middle(outcomes, 'machines'):,.0f} "
                f"| {middle(outcomes, 'reruns'):.0f} |"
            )
        lines.append(f"| {trace} | clairvoyant lower bound | {median(bounds[trace]):.4f} | 1 | | | | | | | |")
    return "\n".join(lines)


def _verdict(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> str:
    cost, other = middle(ours, "cost"), middle(theirs, "cost")
    wait, wait_there = middle(ours, "p95"), middle(theirs, "p95")
    slack = max(EQUAL_S, EQUAL_SHARE * wait_there)
    if cost < other and wait <= wait_there + slack:
        return "cheaper at equal or better p95"
    if cost < other:
        return "cheaper, longer p95"
    if abs(wait - wait_there) <= slack:
        return f"{cost / other - 1:.1%} dearer at equal p95"
    return "worse in both" if wait > wait_there else "dearer, shorter p95"


def verdicts(results: Results, bounds: Mapping[str, Sequence[float]]) -> str:
    """Trace by trace, and whether what was to be reached was."""
    lines = [
        "| trace | beside `FargateCluster` | beside `Adaptive` that does not wait | of the bound |",
        "|---|---|---|---|",
    ]
    beside: dict[str, str] = {}
    ratios: dict[str, float] = {}
    for trace, sides in results.items():
        ours = sides["tidegate"]
        beside[trace] = _verdict(ours, sides["adaptive"])
        ratios[trace] = median(one.cost / bound for one, bound in zip(ours, bounds[trace], strict=True))
        core = _verdict(ours, sides["adaptive-core"])
        lines.append(f"| {trace} | {beside[trace]} | {core} | {ratios[trace]:.2f} |")
    won = sum(each == "cheaper at equal or better p95" for each in beside.values())
    lost = [trace for trace, each in beside.items() if each == "worse in both"]
    far = [trace for trace in BOUNDED if trace in ratios and ratios[trace] > BOUND_MAX]
    lines += [
        "",
        f"- `Adaptive` better in both cost and p95: {', '.join(lost) or 'on no trace'} (to reach: on none).",
        f"- Cheaper at equal or better p95: on {won} of {len(beside)} traces (to reach: four).",
        f"- Beyond {BOUND_MAX} × the bound: {', '.join(far) or 'none'} of {', '.join(BOUNDED)} (to reach: none).",
    ]
    return "\n".join(lines)


def sweep(rows: Sequence[tuple[str, Mapping[str, float], Sequence[Outcome]]]) -> str:
    """What other settings make of the same traces."""
    lines = ["| trace | settings | cost ($) | wait p50 (s) | p95 (s) |", "|---|---|---|---|---|"]
    for trace, changes, outcomes in rows:
        names = ", ".join(f"`{name.upper()}={value:g}`" for name, value in changes.items()) or "defaults"
        lines.append(
            f"| {trace} | {names} | {middle(outcomes, 'cost'):.4f} | {middle(outcomes, 'p50'):.1f} "
            f"| {middle(outcomes, 'p95'):.1f} |"
        )
    return "\n".join(lines)


def scale(rounds: Mapping[str, float]) -> str:
    """One round's thinking at size."""
    each = "; ".join(f"{name}: {milliseconds:.0f} ms" for name, milliseconds in rounds.items())
    return (
        f"One round of `presence.merge`, `policy.decide` and `reconcile` at {MACHINES:,} machines and {TASKS:,} tasks "
        f"(to reach: 100 ms): {each}."
    )


def assumptions(settings: Settings, seeds: Sequence[int]) -> str:
    """What the figures rest on."""
    prices, cloud, own = settings.prices, settings.cloud, settings.autoscaler()
    return (
        f"Medians of the seeds {', '.join(map(str, seeds))}. A machine has {prices.vcpu:g} vCPU, "
        f"{prices.memory:g} GB and {cloud.threads} threads and costs ${prices.on_demand * 3600:.5f} an hour on demand, "
        f"{prices.spot_share:.0%} of that on Spot ({list_prices.REGION}, Linux on x86, {list_prices.DATE}); "
        f"it runs {cloud.start_low:g} to {cloud.start_high:g} s "
        f"after RunTask, is billed from the middle of that and for {cloud.minimum_bill:g} s at least, and has joined "
        f"{cloud.imports:g} s later. Between 0 and {cloud.maximum} machines. "
        f"Ours: `TARGET_DURATION={own.target_duration:g}`, "
        f"`STABILIZATION_WINDOW={own.stabilization_window:g}`, `FLUCTUATION_WINDOW={own.fluctuation_window:g}`, "
        f"`MINIMUM_BILL={own.minimum_bill:g}`, `AUTOSCALER_INTERVAL={own.autoscaler_interval:g}`."
    )
