"""What an image is made of, as a digest: its tag, so that an image is built when its content changes and only then."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pathspec import PathSpec

TAG_LENGTH = 16
_WILD = frozenset("*?[")  # such a pattern may fit nothing, as long as something is copied


class ContextError(Exception):
    """An image's Dockerfile or a file that it copies is missing; the message names it."""


def tag(root: Path, dockerfile: str, arguments: Mapping[str, str]) -> str:
    """A tag for an image: a digest of its Dockerfile, the files that it copies, and what it is built with.

    Args:
        root: the build context.
        dockerfile: path of the Dockerfile within it.
        arguments: build arguments, and whatever else the image depends on (the platform).

    Raises:
        ContextError: the Dockerfile, or something that it copies, is not there.
    """
    digest = hashlib.sha256()
    for name, value in sorted(arguments.items()):
        digest.update(f"{name}={value}\0".encode())
    for path in [dockerfile, *sorted(_copied(root, dockerfile))]:
        file = root / path
        executable = file.stat().st_mode & 0o100
        digest.update(f"{path}\0{bool(executable)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:TAG_LENGTH]


def _copied(root: Path, dockerfile: str) -> set[str]:
    """Files of the context that a Dockerfile copies, as far as `.dockerignore` lets them through."""
    ignore = root / ".dockerignore"
    ignored = PathSpec.from_lines("gitignore", ignore.read_text().splitlines() if ignore.exists() else [])
    files: set[str] = set()
    for source in _sources(root, dockerfile):
        found = [path for path in _walk(root, source) if not ignored.match_file(path)]
        if not found and not _WILD.intersection(source):
            raise ContextError(f"{dockerfile} copies {source}, and there is no such file in the build context {root}")
        files.update(found)
    return files


def _sources(root: Path, dockerfile: str) -> Iterator[str]:
    """What `COPY` and `ADD` take from the context, not from another stage."""
    path = root / dockerfile
    if not path.is_file():
        raise ContextError(f"there is no {dockerfile} in the build context {root}")
    for line in path.read_text().replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.upper().startswith(("COPY ", "ADD ")) else []
        plain = [word for word in words[1:] if not word.startswith("--")]
        if plain and not any(word.startswith("--from=") for word in words):
            yield from plain[:-1]


def _walk(root: Path, source: str) -> list[str]:
    found = []
    for match in sorted(root.glob(source.strip("/"))) if source.strip("./") else [root]:
        files = match.rglob("*") if match.is_dir() else [match]
        found += [file.relative_to(root).as_posix() for file in files if file.is_file()]
    return found
