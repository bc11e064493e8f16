"""The data directory: one stack at a time, everything the stack writes inside, nothing else touched.

tidegate  marks the directory as a stack's own: without it nothing is deleted here
lock      held (flock) while a stack runs, with its process id inside
valkey/   the append-only file: queue, records, results
objects/  results too large for a record
logs/     one file a part, and the one before it as .1
tmp/      temporary files of all parts (Dask spills here); emptied at each start
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Final

from services.local.errors import DirectoryInUse, LocalError

KEPT: Final = ("valkey", "objects")
REBUILT: Final = ("logs", "tmp")
MARKER: Final = "tidegate"
_MARK: Final = "The data of a Tidegate stack (python -m services.local). What is in here is made and deleted by it.\n"


class DataDirectory:
    """A stack's directory, locked from construction until `close`.

    Args:
        path: created when missing.
        fresh: forget queue, records and results of earlier runs.
        patience: seconds to wait for the processes of a stack that was killed to be gone.

    Raises:
        DirectoryInUse: another stack runs on it.
        LocalError: it cannot be written, or holds what no stack has made.
    """

    def __init__(self, path: Path, *, fresh: bool = False, patience: float = 5.0) -> None:
        self.path = path.absolute()
        self._held = False
        self.valkey = self.path / "valkey"
        self.objects = self.path / "objects"
        self.logs = self.path / "logs"
        self.tmp = self.path / "tmp"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim()
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(
                f"the data directory {self.path} cannot be used ({error.strerror}): "
                "set TIDEGATE_DATA or --data to one that can be written"
            ) from error
        try:
            self._acquire(patience)
            self._prepare(fresh)
        except BaseException:
            self.close()
            raise

    @property
    def lock(self) -> int:
        """The locked file descriptor: whoever inherits it keeps the directory locked."""
        return self._lock

    def close(self) -> None:
        """Give the directory up, and what is left in `tmp`."""
        if self._lock >= 0:
            if self._held:
                shutil.rmtree(self.tmp, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1

    def _claim(self) -> None:
        """Mark the directory; refuse one that is somebody else's, in which `tmp` and the like may be anything."""
        marker = self.path / MARKER
        if marker.is_file():
            return
        unmarked_stack = (self.path / "lock").is_file() and self.valkey.is_dir()  # of before there was a marker
        if any(self.path.iterdir()) and not unmarked_stack:
            raise LocalError(
                f"the data directory {self.path} is not empty and no stack has made what is in it; nothing was "
                "touched: set TIDEGATE_DATA or --data to a new or an empty directory"
            )
        marker.write_text(_MARK, encoding="utf-8")

    def _acquire(self, patience: float) -> None:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = self._owner()
                if _alive(owner) or time.monotonic() > until:
                    raise DirectoryInUse(
                        f"another stack (process {owner or 'unknown'}) runs on {self.path}: stop it, or give this one "
                        "a directory of its own with TIDEGATE_DATA or --data (and a port with API_PORT)"
                    ) from None
                time.sleep(0.05)
            else:
                self._held = True
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
                return

    def _owner(self) -> int | None:
        text = os.pread(self._lock, 32, 0).strip()
        return int(text) if text.isdigit() else None

    def _prepare(self, fresh: bool) -> None:
        shutil.rmtree(self.tmp, ignore_errors=True)
        if fresh:
            for name in KEPT:
                shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (*KEPT, *REBUILT):
            (self.path / name).mkdir(mode=0o700, exist_ok=True)


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
