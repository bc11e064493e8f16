"""What Fargate allows of CPU and memory: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SIZES: Mapping[int, Sequence[int]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4096 + 1, 1024)),
    1024: tuple(range(2048, 8192 + 1, 1024)),
    2048: tuple(range(4096, 16384 + 1, 1024)),
    4096: tuple(range(8192, 30720 + 1, 1024)),
    8192: tuple(range(16384, 61440 + 1, 4096)),
    16384: tuple(range(32768, 122880 + 1, 8192)),
}
"""MiB of memory that each number of CPU units can have."""


def size_problem(cpu: int, memory: int) -> str | None:
    """What is wrong with a pair of CPU units and MiB; None when Fargate takes it."""
    if cpu not in SIZES:
        return f"Fargate has no {cpu} CPU units: take {', '.join(map(str, SIZES))}"
    sizes = SIZES[cpu]
    if memory in sizes:
        return None
    step = sizes[-1] - sizes[-2]
    return f"with {cpu} CPU units Fargate takes {sizes[0]} to {sizes[-1]} MiB in steps of {step}, not {memory}"
