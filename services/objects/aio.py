"""An object store for asynchronous code: the blocking one, called in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.objects.store import PRESIGN_TTL, ObjectMissing, ObjectReader, ObjectStore


class AsyncObjects:
    """Reads from an object store without blocking the loop; all methods raise ObjectStoreError.

    Args:
        store: the blocking store.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def presign(self, key: str, ttl: float = PRESIGN_TTL) -> str | None:
        """Return an address at which anybody can read the object for `ttl` seconds; None where there is none."""
        return await asyncio.to_thread(self._store.presign, key, ttl)

    async def open(self, key: str) -> AsyncIterator[bytes] | None:
        """Open an object and return its chunks; None where there is no such object (any more).

        Iterate to the end, or close the iterator, or the object stays open.
        """
        try:
            reader = await asyncio.to_thread(self._store.open, key)
        except ObjectMissing:
            return None
        return _chunks(reader)

    async def sweep(self) -> int:
        """Delete what has expired and return how many those were."""
        return await asyncio.to_thread(self._store.sweep)


async def _chunks(reader: ObjectReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(reader.read):
            yield chunk
    finally:
        reader.close()
