"""Side effects, counted: computations append lines to a file, tests read how often each task really ran."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mark:
    """One line: what happened (`begin`, `end`, …), to which task (`n`), in which process, when (monotonic seconds)."""

    word: str
    n: int
    pid: int
    at: float


class Ledger:
    """Reader of the file that `tests.integration.computations.ledger` appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def marks(self, word: str | None = None) -> list[Mark]:
        """Return the lines so far, in order; with a word, only those."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text().splitlines():
            kind, n, pid, at = line.split()
            if word in (None, kind):
                found.append(Mark(kind, int(n), int(pid), float(at)))
        return found

    def counts(self, word: str = "begin") -> Counter[int]:
        """Return how often each task has this word."""
        return Counter(mark.n for mark in self.marks(word))

    def pids(self, n: int | None = None) -> list[int]:
        """Return the processes that began a task, in order, without repeats; with `n`, that task alone."""
        return list(dict.fromkeys(mark.pid for mark in self.marks("begin") if n is None or mark.n == n))
