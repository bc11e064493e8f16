"""An author's package: what it does can be counted in a file that all workers share."""

import os
import time
from pathlib import Path

from services.compute import computation

FACTOR = 2
LEDGER = Path("/files/ledger")


@computation
def noted(n: int, seconds: float = 0.0) -> int:
    """Multiply n, after some seconds, and write down that it ran."""
    _note("begin", n)
    time.sleep(seconds)
    _note("end", n)
    return n * FACTOR


@computation
def bulky(size: int) -> str:
    """A result of so many bytes."""
    return "x" * size


def _note(word: str, n: int) -> None:
    file = os.open(LEDGER, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(file, f"{word} {n} {os.uname().nodename}\n".encode())
    finally:
        os.close(file)
