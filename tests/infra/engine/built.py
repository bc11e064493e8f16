"""Images as far as they are ours: what their Dockerfiles copy to /app, under the tags that the program gives them."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

from infra import context

SERVICES = ("api", "autoscaler", "worker")
PLATFORM = "linux/amd64"
"""What stacks have unless told otherwise."""


class Images:
    """What was built.

    Args:
        directory: for it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def build(self, root: Path) -> dict[str, str]:
        """Build all images of a copy of the repository; their tags, by service."""
        tags = {}
        for service in SERVICES:
            dockerfile = f"services/{service}/Dockerfile"
            tag = tags[service] = context.tag(root, dockerfile, {"platform": PLATFORM})
            tree = self._directory / service / tag
            if not tree.exists():
                _copy(root, root / dockerfile, tree)
        return tags

    def pull(self, ecr: Any, image: str) -> Path:
        """Fetch an image as ECS does: what is at /app in it."""
        ecr.get_authorization_token()
        name, _, digest = image.partition("@")
        repository = name.partition("/")[2]
        (found,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
        tag: str = found["imageId"]["imageTag"]
        return self._directory / repository.rpartition("/")[2] / tag


def _copy(root: Path, dockerfile: Path, tree: Path) -> None:
    for line in dockerfile.read_text().replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True) if line.startswith("COPY ") else []
        if not words or words[1].startswith("--") or not words[-1].startswith("/app/"):
            continue
        into = tree / words[-1].removeprefix("/app/")
        for word in words[1:-1]:
            source = root / word
            if source.is_dir():
                shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, into)
