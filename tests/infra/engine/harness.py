"""A stack of the real program under the real engine, against a moto of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.harness.process import free_port

ROOT = Path(__file__).parents[3]
PLUGINS = Path(__file__).parent / "plugins"
COMMAND_S = 120.0
PASSPHRASE = "not a secret"


@dataclass
class Cloud:
    """A moto server in a process of its own.

    Attributes:
        port: on loopback.
        process: of the server.
    """

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """With which boto3 finds it, and no other AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@contextlib.contextmanager
def cloud(directory: Path) -> Iterator[Cloud]:
    """Serve for as long as the block lasts."""
    port = free_port()
    with (directory / "moto.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.infra.engine.cloud", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "MOTO_ACM_VALIDATION_WAIT": "1"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
        try:
            made = Cloud(port, process)
            end = time.monotonic() + 60
            while True:
                try:
                    made.client("sts").get_caller_identity()
                    break
                except Exception:
                    if time.monotonic() > end or process.poll() is not None:
                        raise
                    time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait(20)


@dataclass(frozen=True)
class Answer:
    """How a command of Pulumi ended."""

    status: int
    output: str

    def steps(self) -> dict[str, str]:
        """Operations by URN, but for what stays; of an answer with `--json` only."""
        found = {}
        for step in json.loads(self.output)["steps"]:
            if step["op"] != "same":
                found[str(step["urn"])] = str(step["op"])
        return found


@dataclass
class Stack:
    """A copy of the program, with a state of its own.

    Attributes:
        directory: of the copy.
        name: of the stack.
        cloud: that it is in.
        extra: environment over the usual.
    """

    directory: Path
    name: str
    cloud: Cloud
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, directory: Path, name: str, cloud: Cloud, settings: Mapping[str, str]) -> Stack:
        """Copy the program and set its stack up."""
        directory.mkdir()
        ignore = shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml")
        for part in ("infra", "services", "requirements"):
            shutil.copytree(ROOT / part, directory / part, ignore=ignore)
        for part in ("Pulumi.yaml", ".dockerignore"):
            shutil.copy(ROOT / part, directory / part)
        for part in ("home", "state"):
            (directory / part).mkdir()
        stack = cls(directory, name, cloud)
        stack("stack", "init", name)
        stack.set({"aws:region": "us-east-1", **settings})
        return stack

    @property
    def environment(self) -> dict[str, str]:
        binaries = f"{PLUGINS}:{Path(sys.executable).parent}"
        return {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/"),
            "VIRTUAL_ENV": str(Path(sys.executable).parents[1]),
            # The copy's `infra` and `services` go before the ones that are installed.
            "PYTHONPATH": f"{self.directory}:{ROOT}",
            # Not beside the sources, which images are made of. Once for all stacks: half a preview's time is compiling.
            "PYTHONPYCACHEPREFIX": str(self.directory.parents[1] / "bytecode"),
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            **self.cloud.environment,
            **self.extra,
        }

    def run(self, *arguments: str, seconds: float = COMMAND_S) -> Answer:
        """Run `pulumi …`; how it ended."""
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        answer = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        clean = "--json" in arguments and not answer.returncode
        return Answer(answer.returncode, answer.stdout if clean else answer.stdout + answer.stderr)

    def __call__(self, *arguments: str) -> Answer:
        """Run `pulumi …`, which must succeed."""
        answer = self.run(*arguments)
        if answer.status:
            raise AssertionError(f"pulumi {' '.join(arguments)}: {answer.status}\n{answer.output[-6000:]}")
        return answer

    def set(self, settings: Mapping[str, str]) -> None:
        """Set configuration."""
        pairs = [part for key, value in settings.items() for part in ("--plaintext", f"{key}={value}")]
        self("config", "set-all", "--stack", self.name, *pairs)

    def preview(self, *arguments: str) -> dict[str, str]:
        """What `up` would do: operations by URN."""
        return self("preview", "--json", "--stack", self.name, *arguments).steps()

    def up(self, *arguments: str) -> Answer:
        return self("up", "--yes", "--skip-preview", "--stack", self.name, *arguments)

    def refresh(self, *arguments: str) -> Answer:
        return self("refresh", "--yes", "--skip-preview", "--stack", self.name, *arguments)

    def destroy(self, *arguments: str) -> Answer:
        return self("destroy", "--yes", "--skip-preview", "--stack", self.name, *arguments)

    def export(self, *arguments: str) -> Any:
        """The state."""
        return json.loads(self("stack", "export", "--stack", self.name, *arguments).output)

    def outputs(self) -> Any:
        return json.loads(self("stack", "output", "--json", "--stack", self.name).output)


def short(urn: str) -> str:
    """A URN's type and name, without where it is."""
    parts: Sequence[str] = urn.split("::")
    return f"{parts[2].rpartition('$')[2]}::{parts[3]}"
