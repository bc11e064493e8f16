"""The interface of object stores, what keys look like, and the way from a URL to a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from services.compute.errors import ObjectStoreError

DEFAULT_TTL = 30 * 86_400.0
"""Seconds an object is kept when nobody says how long."""

PRESIGN_TTL = 300.0
"""Seconds a presigned address can be used, unless asked for otherwise."""

CHUNK = 1024 * 1024
"""Bytes read at once."""

KEY_MAX = 512
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class ObjectMissing(ObjectStoreError):
    """There is no such object, or no more: it was never written, deleted, or has expired."""


class ByteSource(Protocol):
    """What an ObjectReader reads from: a file, or the body of a response."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Let go of the file or connection."""


class ObjectReader:
    """An open object: iterate over its chunks, and close it (or use it in `with`).

    Args:
        key: the object.
        size: its bytes.
        source: where they come from.
        failures: exceptions of the source's that mean it cannot be read.
    """

    def __init__(self, key: str, size: int, source: ByteSource, failures: tuple[type[Exception], ...]) -> None:
        self.key = key
        self.size = size
        self._source = source
        self._failures = failures

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            ObjectStoreError: the store failed in between.
        """
        try:
            return self._source.read(size)
        except self._failures as error:
            raise ObjectStoreError(f"reading object {self.key!r} broke off: {error}") from error

    def close(self) -> None:
        """Let go of the file or connection."""
        self._source.close()

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ObjectStore(Protocol):
    """Keeps bytes under keys; every method may be called from any thread, and raises ObjectStoreError.

    A key is one or more names joined by `/`, of letters, digits, `_`, `-` and `.`, none beginning with `.` or `-`.
    """

    def put(self, key: str, data: bytes, ttl: float = DEFAULT_TTL) -> str:
        """Write an object, whole or not at all, and return its key; an earlier one under the key is replaced.

        Args:
            key: where.
            data: what.
            ttl: seconds until it may be forgotten.
        """

    def get(self, key: str) -> bytes:
        """Return an object.

        Raises:
            ObjectMissing: there is none.
        """

    def open(self, key: str) -> ObjectReader:
        """Open an object to read it in chunks.

        Raises:
            ObjectMissing: there is none.
        """

    def presign(self, key: str, ttl: float = PRESIGN_TTL) -> str | None:
        """Return an address at which anybody can read the object for `ttl` seconds; None where there is none."""

    def delete(self, key: str) -> None:
        """Forget an object; one that does not exist is fine."""

    def sweep(self) -> int:
        """Delete what has expired and return how many those were; 0 where the store does that by itself."""


def check_key(key: str) -> str:
    """Return the key if it is one.

    Raises:
        ObjectStoreError: it is not, or it would lead out of the store.
    """
    if len(key) > KEY_MAX or not _KEY.fullmatch(key):
        raise ObjectStoreError(
            f"{key[:100]!r} is no key of an object: use names of letters, digits, '_', '-' and '.', joined by '/', "
            f"at most {KEY_MAX} characters"
        )
    return key


def open_object_store(url: str) -> ObjectStore:
    """Return the store that a URL names.

    Args:
        url: `file:///directory` (made if missing) or `s3://bucket/prefix`.

    Raises:
        ObjectStoreError: it names no store, or the store cannot be used.
    """
    open_store = _OPENERS.get(urlsplit(url).scheme)
    if open_store is None:
        raise ObjectStoreError(f"OBJECT_STORE={url!r} names no store: use file:///directory or s3://bucket/prefix")
    return open_store(url)


def _open_directory(url: str) -> ObjectStore:
    from services.objects.directory import DirectoryObjectStore

    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or path == Path("/"):
        raise ObjectStoreError(f"OBJECT_STORE={url!r} names no directory: write file:/// and an absolute path")
    return DirectoryObjectStore(path)


def _open_s3(url: str) -> ObjectStore:
    from services.objects.s3 import S3ObjectStore

    parts = urlsplit(url)
    if not parts.netloc:
        raise ObjectStoreError(f"OBJECT_STORE={url!r} names no bucket: write s3://bucket/prefix")
    return S3ObjectStore(parts.netloc, parts.path.strip("/"))


_OPENERS: dict[str, Callable[[str], ObjectStore]] = {"file": _open_directory, "s3": _open_s3}
