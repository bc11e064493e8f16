"""Memory that a worker process and its supervisor share: deadlines that are seen even while the process cannot act.

Code that holds the GIL stops every thread of its process, the one that would enforce its deadline too. The supervisor
reads the deadlines here and kills the process. All values are seconds on CLOCK_MONOTONIC, which is one clock for all
processes of a machine; 0 means none. The first cell is when the process as a whole must be gone.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import Self

_CELLS = 257
_BYTES = 8 * _CELLS


class Board:
    """A mapped piece of memory.

    Args:
        fd: file descriptor of it, which this takes over.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, _BYTES)
        self._cells = memoryview(self._map).cast("d")

    @classmethod
    def create(cls) -> Self:
        """A new board, all cells 0, in memory without a name where the system has that."""
        if sys.platform == "linux":
            fd = os.memfd_create("tidegate-deadlines", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, _BYTES)
        return cls(fd)

    @property
    def deadlines(self) -> memoryview[float]:
        """The cells of running attempts."""
        return self._cells[1:]

    @property
    def gone_by(self) -> float:
        """When the process must be gone; 0 for never."""
        return self._cells[0]

    @gone_by.setter
    def gone_by(self, value: float) -> None:
        self._cells[0] = value

    def late(self, now: float, tolerance: float) -> bool:
        """Whether the process let a deadline pass, by more than `tolerance` seconds, without acting."""
        if 0.0 < self._cells[0] < now:
            return True
        limit = now - tolerance
        return any(0.0 < deadline < limit for deadline in self._cells[1:].tolist())

    def clear(self) -> None:
        """Forget a process that is gone."""
        self._map.seek(0)
        self._map.write(bytes(_BYTES))

    def close(self) -> None:
        """Give the memory back."""
        self._cells.release()
        self._map.close()
        os.close(self.fd)
