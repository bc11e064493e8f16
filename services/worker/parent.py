"""A worker process does not outlive its supervisor, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent(life: int, parent: int) -> None:
    """See to it that this process is killed when its supervisor is gone.

    On Linux the kernel does it, also to a process that cannot act; everywhere a thread waits for the end of the pipe
    whose other end only the supervisor holds.

    Args:
        life: read end of that pipe.
        parent: the supervisor's process id.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before the call above
            os._exit(137)
    threading.Thread(target=_watch, args=(life,), name="tidegate-parent", daemon=True).start()


def _watch(life: int) -> None:
    while os.read(life, 1):
        pass
    os._exit(137)
