"""Ends the parts when the stack itself was killed: SIGKILL gives nobody a chance to do it, so another process waits.

The stack holds the writing end of a pipe, the guard reads it. `+N` enrols process group N, `-N` strikes it off; the end
of the pipe is the end of the stack, however it came about, and every group still enrolled is killed. A part enrols
itself between fork and exec, so that there is no moment in which it runs unguarded. Works alike on Linux and macOS.
The guard keeps the data directory's lock until the groups are gone. This file runs as a script too, on the standard
library alone: it is up in 20 ms.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable

END_TIMEOUT = 10.0  # seconds


class Guard:
    """The stack's side: starts the guard process and tells it whom to end.

    Args:
        keep_open: file descriptors that the guard inherits and holds until the last group is gone (the lock).
    """

    def __init__(self, keep_open: Iterable[int] = ()) -> None:
        reading, self._pipe = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own file, by our own interpreter)
                [sys.executable, "-I", "-S", __file__],
                stdin=reading,
                pass_fds=tuple(keep_open),
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def enrol_self(self) -> None:
        """Called in a part's process between fork and exec, when it leads a process group of its own."""
        os.write(self._pipe, b"+%d\n" % os.getpid())

    def strike(self, group: int) -> None:
        """Forget a group that has ended."""
        try:
            os.write(self._pipe, b"-%d\n" % group)
        except BrokenPipeError:
            return

    def alive(self) -> bool:
        """Whether the guard process runs; nobody but an operator with SIGKILL ends it."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the guard; it kills what is still enrolled."""
        os.close(self._pipe)
        try:
            self._process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def kill_group(group: int) -> None:
    """SIGKILL whatever is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS: PermissionError when only zombies are left
        return


def main() -> None:
    """The guard process: read until the stack is gone, then kill what it has left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    main()
