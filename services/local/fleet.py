"""Tells the person at the terminal how the fleet rises and falls, from what the API says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from services.local.network import http_body

EVERY_S: Final = 1.0


async def tell(host: str, port: int, say: Callable[[str], None]) -> None:
    """Say each change of the number of workers, with its reason, until cancelled."""
    known: int | None = None
    while True:
        workers, reason = _read(await http_body(host, port, "/api/v1/fleet"))
        if workers is not None and workers != known:
            say(f"workers: {workers}" if known is None else f"workers: {known} → {workers}  ({reason})")
            known = workers
        await asyncio.sleep(EVERY_S)


def _read(document: bytes) -> tuple[int | None, str]:
    """How many workers have joined and take work, and why so many; None where that is not known."""
    try:
        fleet = json.loads(document)
        return int(fleet["observed"]["joined"]), str(fleet["decided"]["reason"])
    except (ValueError, TypeError, KeyError):
        return None, ""
