"""The running attempts' deadlines in memory that the supervisor reads, also while this process holds its GIL."""

from __future__ import annotations

from array import array
from typing import Protocol

# A bundle takes one cell. More than this many run at once only where hundreds of parents wait for their children;
# those without a cell are still held to their deadline by the watch thread and by the reconciler.
CELLS = 256


class Cells(Protocol):
    """Numbers in memory that may be shared: an `array` or a `memoryview`."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> float:
        """One of them."""

    def __setitem__(self, index: int, value: float, /) -> None:
        """Change one, at once for all who look."""


class Deadlines:
    """Cells of seconds on CLOCK_MONOTONIC, 0 for none; one for each running bundle.

    Args:
        cells: shared memory; private memory when nobody watches this process.
    """

    def __init__(self, cells: Cells | None = None) -> None:
        self.cells: Cells = array("d", bytes(8 * CELLS)) if cells is None else cells
        self._free = list(range(len(self.cells)))

    def take(self) -> int | None:
        """Index of a cell that is nobody else's; None when all are taken."""
        try:
            return self._free.pop()
        except IndexError:
            return None

    def give_back(self, cell: int | None) -> None:
        """Clear a cell and let others have it."""
        if cell is not None:
            self.cells[cell] = 0.0
            self._free.append(cell)
