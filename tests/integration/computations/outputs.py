"""Results and errors that are hard to store."""

from __future__ import annotations

import threading
from typing import Any

from services.compute import computation


@computation
def sized(size: int, n: int = 0) -> str:
    """Return a text of this many characters."""
    return "x" * size


@computation(max_attempts=1)
def loud(size: int) -> int:
    """Raise with a message of this many characters."""
    raise ValueError("why " + "y" * size)


@computation(max_attempts=1)
def unserialisable(n: int = 0) -> dict[str, Any]:
    """Return something that has no JSON form."""
    return {"lock": threading.Lock(), "n": n}
