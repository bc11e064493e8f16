"""Fibonacci numbers: the smallest complete computation, and one that can be made to burn CPU time on purpose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.compute import computation, report_progress

N_MAX = 20_000
"""F(20,000) has 4,180 digits; most Python programs refuse to read an integer of more than 4,300."""

RECURSIVE_MAX = 40
"""330 million calls, about half a minute; each step more takes 1.6 times as long."""

_LEAF = 24


@computation
def fibonacci(n: Annotated[int, Field(ge=0, le=N_MAX)], mode: Literal["fast", "recursive"] = "fast") -> int:
    """Compute the n-th Fibonacci number, exactly.

    `fast` doubles its way up in microseconds. `recursive` is deliberately slow, for seeing CPU-bound work and
    its progress; it takes n up to 40.
    """
    if mode == "fast":
        return _double(n)[0]
    if n > RECURSIVE_MAX:
        raise ValueError(f"n={n} would take too long in recursive mode: take n up to {RECURSIVE_MAX}, or mode fast")
    return _reported(n)


def _double(n: int) -> tuple[int, int]:
    """Return F(n) and F(n + 1)."""
    if n == 0:
        return 0, 1
    a, b = _double(n // 2)
    c, d = a * (2 * b - a), a * a + b * b
    return (c, d) if n % 2 == 0 else (d, c + d)


def _slow(n: int) -> int:
    return n if n < 2 else _slow(n - 1) + _slow(n - 2)


def _reported(n: int) -> int:
    """Do as `_slow` does, and report after each small subtree: F(n) counts them all."""
    total, found = _double(n)[0], 0
    waiting = [n]
    while waiting:
        k = waiting.pop()
        if k > _LEAF:
            waiting += [k - 1, k - 2]
            continue
        found += _slow(k)
        report_progress(found, total)
    return found
