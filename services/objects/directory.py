"""Large results in a directory, for one machine: an object is a file, and its modification time is when it expires."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from services.compute.errors import ObjectStoreError
from services.objects.store import DEFAULT_TTL, PRESIGN_TTL, ObjectMissing, ObjectReader, check_key

_PART = ".part-"
"""Leads the names of files being written; no key can begin with a dot."""

_PART_AGE_MAX = 3600.0
"""Seconds after which a file being written has been left behind by a process that died."""


class DirectoryObjectStore:
    """Keeps objects below a directory, which is made if missing.

    Args:
        root: the directory.
        clock: seconds since 1970.

    Raises:
        ObjectStoreError: the directory cannot be made.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._clock = clock
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._error("made", str(root), error) from error

    def put(self, key: str, data: bytes, ttl: float = DEFAULT_TTL) -> str:
        """Write an object; see ObjectStore."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(path, data, self._clock() + ttl)
        except FileNotFoundError:  # sweep has just removed the empty directory
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._write(path, data, self._clock() + ttl)
            except OSError as error:
                raise self._error("written", key, error) from error
        except OSError as error:
            raise self._error("written", key, error) from error
        return key

    def get(self, key: str) -> bytes:
        """Return an object; see ObjectStore."""
        with self.open(key) as reader:
            return reader.read(max(reader.size, 1))

    def open(self, key: str) -> ObjectReader:
        """Open an object; see ObjectStore."""
        path = self._path(key)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise self._missing(key) from error
        except OSError as error:
            raise self._error("read", key, error) from error
        status = os.fstat(file.fileno())
        if status.st_mtime <= self._clock():
            file.close()
            raise self._missing(key)
        return ObjectReader(key, status.st_size, file, (OSError,))

    def presign(self, key: str, ttl: float = PRESIGN_TTL) -> str | None:  # noqa: ARG002
        """Return None: files have no address that a client could read."""
        check_key(key)
        return None

    def delete(self, key: str) -> None:
        """Forget an object; see ObjectStore."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._error("deleted", key, error) from error
        self._prune(path.parent)

    def sweep(self) -> int:
        """Delete what has expired, and what dead processes have left half-written; see ObjectStore."""
        now, count = self._clock(), 0
        for directory, _, names in os.walk(self._root, topdown=False, onerror=None):
            for name in names:
                path = Path(directory, name)
                with contextlib.suppress(OSError):  # another process was faster, or the next sweep gets it
                    part = name.startswith(_PART)
                    if path.stat().st_mtime <= (now - _PART_AGE_MAX if part else now):
                        path.unlink()
                        count += not part
            self._prune(Path(directory))
        return count

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _write(self, path: Path, data: bytes, expires: float) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_PART, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.utime(file.fileno(), (expires, expires))
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)

    def _prune(self, directory: Path) -> None:
        """Remove a directory that has become empty, and so on upwards."""
        with contextlib.suppress(OSError):  # not empty
            while directory != self._root and directory.is_relative_to(self._root):
                directory.rmdir()
                directory = directory.parent

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(f"there is no object {key!r} in {self._root}: it has expired or was never written")

    def _error(self, what: str, key: str, error: OSError) -> ObjectStoreError:
        return ObjectStoreError(
            f"object {key!r} cannot be {what} in {self._root}: {error.strerror or error}. "
            "Check that the directory of OBJECT_STORE exists, is writable and has room."
        )


def _sync_directory(directory: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
