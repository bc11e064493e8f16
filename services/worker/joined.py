"""Says to the probe of this container (`services.probe`) whether a worker process belongs to a cluster.

By the lock on a file: the kernel lets go of it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

SUFFIX: Final = ".joined"


class Joined:
    """The mark of one process.

    Args:
        directory: which the supervisor made for its processes.
        name: of the Dask worker.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._fd = os.open(directory / f"{name}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def set(self) -> None:
        """A scheduler has accepted the worker."""
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def clear(self) -> None:
        """The scheduler is lost."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)
