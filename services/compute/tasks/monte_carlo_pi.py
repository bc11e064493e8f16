"""Pi by throwing darts: a computation that spreads its work over the cluster from inside a task."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Annotated

from pydantic import BaseModel, Field

from services.compute import computation, report_progress

CHUNK = 1_000_000
"""Darts that one child throws: about 30 ms, and 16 MB."""


class PiEstimate(BaseModel):
    """What the darts say."""

    estimate: float = Field(description="Estimate of pi")
    standard_error: float = Field(description="One standard error of the estimate")
    inside: int = Field(description="Darts inside the quarter circle")
    samples: int = Field(description="Darts thrown")


@computation
def monte_carlo_pi(
    samples: Annotated[int, Field(ge=1, le=1_000_000_000, description="Darts to throw")],
    seed: Annotated[int, Field(ge=0, lt=2**64, description="Same seed, same darts")] = 0,
) -> PiEstimate:
    """Estimate pi from the share of random points in a square that fall inside its quarter circle.

    The result depends on the parameters only, not on how many workers there are.
    """
    chunks = [(seed, number, min(CHUNK, samples - start)) for number, start in enumerate(range(0, samples, CHUNK))]
    inside = 0
    with contextlib.closing(_counts(chunks)) as counts:
        for done, count in enumerate(counts, start=1):
            inside += count
            report_progress(done, len(chunks), f"{inside:,} darts inside")
    share = inside / samples
    return PiEstimate(
        estimate=4 * share,
        standard_error=4 * (share * (1 - share) / samples) ** 0.5,
        inside=inside,
        samples=samples,
    )


def count_inside(seed: int, number: int, samples: int) -> int:
    """Throw one chunk of darts and count those inside.

    Args:
        seed: of the whole computation.
        number: of the chunk; each has a stream of random numbers of its own.
        samples: darts to throw.
    """
    import numpy as np

    points = np.random.default_rng([seed, number]).random((2, samples))
    return int(np.count_nonzero((points * points).sum(axis=0) <= 1.0))


def _counts(chunks: list[tuple[int, int, int]]) -> Generator[int]:
    """Count each chunk, on the cluster where there is one and more than one chunk, here otherwise."""
    if len(chunks) == 1 or not _on_worker():
        yield from (count_inside(*chunk) for chunk in chunks)
        return
    from distributed import as_completed, worker_client

    with worker_client() as client:
        # Not pure: a key of its own for each child, or a rerun would join what an earlier run has left.
        # A priority, since this task occupies a worker until they are done: they go ahead of what has not begun.
        futures = client.map(count_inside, *zip(*chunks, strict=True), pure=False, priority=10)
        try:
            for _, count in as_completed(futures, with_results=True):
                yield count
        finally:  # cancelled, timed out or failed: the other children are not wanted any more
            if unwanted := [future for future in futures if not future.done()]:
                client.cancel(unwanted)


def _on_worker() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
