"""Docker as these tests use it: its own build context, its own names, nothing left behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
AUTHOR = Path(__file__).parent / "author"
BASE = "python:3.12-slim-bookworm"
SERVICES = ("api", "autoscaler", "worker")
COMMAND_S = 600.0


def problem() -> str | None:
    """Why there is no container engine to test with; None when there is one."""
    if shutil.which("docker") is None:
        return "no docker on PATH: install Docker with its compose plugin"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if answer.returncode:
            return f"`{' '.join(command)}` says: {answer.stderr.strip()[-300:]}"
    return None


def docker(*arguments: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a docker command that must succeed; its output."""
    answer = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    if answer.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}:\n{answer.stdout[-2000:]}\n{answer.stderr[-4000:]}")
    return answer.stdout


def write_author(context: Path, version: int, factor: int) -> None:
    """Lay an author's wheel into a build context."""
    source = context.parent / f"author-{version}"
    shutil.copytree(AUTHOR, source)
    code, project = source / "e2e_computations.py", source / "pyproject.toml"
    code.write_text(code.read_text().replace("FACTOR = 2", f"FACTOR = {factor}"))
    project.write_text(project.read_text().replace('version = "1"', f'version = "{version}"'))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(context / "requirements")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)


@dataclass
class Images:
    """The three images, built from a copy of this repository with an author's package.

    Attributes:
        context: the copy.
        tag: of all three.
    """

    context: Path
    tag: str = field(default_factory=lambda: secrets.token_hex(4))

    @classmethod
    def prepare(cls, directory: Path) -> Images:
        """Copy what the images are made of."""
        context = directory / "context"
        context.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", "*.whl")
        for name in ("services", "requirements"):
            shutil.copytree(ROOT / name, context / name, ignore=ignore)
        for name in (".dockerignore", "docker-compose.yml"):
            shutil.copy(ROOT / name, context / name)
        write_author(context, 1, 2)
        return cls(context)

    def name(self, service: str, version: int = 1) -> str:
        """Of one service's image."""
        return f"tidegate-e2e-{service}:{self.tag}-{version}"

    def environment(self, version: int = 1) -> dict[str, str]:
        """What `docker-compose.yml` takes to build and run them."""
        return {
            **{f"{service.upper()}_IMAGE": self.name(service, version) for service in SERVICES},
            "COMPUTATIONS": f"e2e-computations=={version}",
            "COMPUTE_MODULES": "services.compute.tasks,e2e_computations",
        }

    def build(self, version: int = 1) -> None:
        """`docker compose build`."""
        docker("compose", "build", environment=self.environment(version), cwd=self.context)

    def remove(self) -> None:
        """Forget all of them."""
        ours = docker("image", "ls", "-q", "--filter", f"reference=tidegate-e2e-*:{self.tag}-*").split()
        if ours:
            docker("image", "rm", "-f", *sorted(set(ours)))


@dataclass
class Compose:
    """A compose project.

    Attributes:
        directory: with its `docker-compose.yml`.
        environment: what that takes.
        project: its name.
    """

    directory: Path
    environment: dict[str, str]
    project: str = field(default_factory=lambda: f"tidegate-e2e-{secrets.token_hex(4)}")

    def __call__(self, *arguments: str) -> str:
        """Run `docker compose …`; its output."""
        return docker("compose", "-p", self.project, *arguments, environment=self.environment, cwd=self.directory)

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine says of the containers, one service's or all, by name."""
        ids = self("ps", "-a", "-q", *([service] if service else [])).split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return sorted(found, key=lambda container: str(container["Name"]))

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container; its output."""
        return docker("exec", container, *command)

    def kill(self, container: str) -> None:
        """SIGKILL whatever the container's init has started: it ends as if it had crashed, and is started again."""
        code = (
            "import os\n"
            "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
            "    if pid not in ('1', str(os.getpid())):\n"
            "        try: os.kill(int(pid), 9)\n"
            "        except OSError: pass\n"
        )
        before = self.runs(container)
        # The container ends with its process, and the command in it with the container: its own status says nothing.
        subprocess.run(["docker", "exec", container, "python", "-c", code], check=False, timeout=COMMAND_S)
        eventually(lambda: self.runs(container) != before, f"{container} was killed and is started again", seconds=60)

    def runs(self, container: str) -> str:
        """Which run of a container this is: when the engine started it last."""
        return docker("inspect", "-f", "{{.State.StartedAt}}", container).strip()

    def leavings(self) -> list[str]:
        """Containers, networks and volumes of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds: Sequence[tuple[str, ...]] = (("ps", "-aq"), ("network", "ls", "-q"), ("volume", "ls", "-q"))
        return [found for kind in kinds for found in docker(*kind, "--filter", label).split()]
