"""What Pulumi needs before it is run on a stack: whatever is missing is named, all of it at once, with how to get it.

`make preview` and `make deploy` begin with it: `python -m infra.preflight STACK`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infra import settings, stack_file

PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
PATIENCE_S = 60
"""For one command or one call."""
PROCESSORS: Mapping[str, str] = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}
"""Docker's words for those of `platform.machine()`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not there.

    Attributes:
        what: is missing.
        cure: how to get it.
    """

    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command answered.

    Attributes:
        code: its exit status.
        text: what it printed, errors included.
    """

    code: int
    text: str


class CredentialsMissing(Exception):
    """AWS does not know who this is; the message says why."""


class Machine(Protocol):
    """What the checks ask."""

    environment: Mapping[str, str]
    processor: str

    def has(self, program: str) -> bool:
        """Whether a program is on PATH."""

    def run(self, *command: str) -> Ran:
        """Run a program that is there."""

    def identity(self, region: str, profile: str | None) -> str:
        """Who this is to AWS, as an ARN.

        Raises:
            CredentialsMissing: nobody, or AWS cannot be reached.
        """


class ThisMachine:
    """The machine that this runs on."""

    def __init__(self) -> None:
        self.environment: Mapping[str, str] = os.environ
        self.processor = PROCESSORS.get(platform.machine(), platform.machine())

    def has(self, program: str) -> bool:
        """See `Machine`."""
        return shutil.which(program) is not None

    def run(self, *command: str) -> Ran:
        """See `Machine`."""
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return Ran(1, f"no answer within {PATIENCE_S} s")
        return Ran(done.returncode, done.stdout + done.stderr)

    def identity(self, region: str, profile: str | None) -> str:
        """See `Machine`."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        patience = Config(connect_timeout=PATIENCE_S / 6, read_timeout=PATIENCE_S / 6, retries={"max_attempts": 1})
        try:
            client = boto3.Session(region_name=region, profile_name=profile).client("sts", config=patience)
            try:
                return str(client.get_caller_identity()["Arn"])
            finally:
                client.close()
        except (BotoCoreError, ClientError) as error:
            raise CredentialsMissing(str(error)) from error


def missing(stack: str, machine: Machine, root: Path = stack_file.ROOT) -> Iterator[Missing]:
    """Everything that Pulumi will lack.

    Args:
        stack: as `--stack` takes it.
        machine: to look at.
        root: where `Pulumi.yaml` is.
    """
    try:
        said = stack_file.load(stack, root)
        config = stack_file.values(said)
        wanted = settings.read(config)
    except settings.ConfigError as error:
        yield Missing(str(error), "docs/configuration.md, Stacks on AWS, has all keys")
        return
    yield from _pulumi(stack, said, machine)
    if wanted.api_image is None:
        yield from _docker(wanted.platform, machine)
    yield from _aws(stack, config, machine)


def _pulumi(stack: str, said: Mapping[str, Any], machine: Machine) -> Iterator[Missing]:
    if "encryptionsalt" in said and not any(machine.environment.get(name) for name in PASSPHRASE):
        yield Missing(
            "the passphrase that this stack's secrets are encrypted with",
            f"set {' or '.join(PASSPHRASE)}; who made the stack knows it",
        )
    if not machine.has("pulumi"):
        yield Missing("the pulumi command", "install Pulumi's CLI: https://www.pulumi.com/docs/install/")
        return
    login = machine.run("pulumi", "whoami", "--non-interactive")
    if login.code != 0:
        yield Missing(
            f"a login to the state backend: {_last_line(login.text)}",
            "pulumi login s3://BUCKET, or set PULUMI_BACKEND_URL to that (docs/operations.md, State and secrets)",
        )
        return
    there = machine.run("pulumi", "stack", "--stack", stack, "--show-name", "--non-interactive")
    if there.code != 0:
        yield Missing(
            f"the stack {stack} in the state backend: {_last_line(there.text)}",
            f"pulumi stack init {stack} --secrets-provider=awskms://alias/… (docs/operations.md, First deployment), or "
            "log in to the backend that has it",
        )


def _docker(wanted: str, machine: Machine) -> Iterator[Missing]:
    """Images that changed are built, in a preview too."""
    elsewhere = "give all three images instead: tidegate:apiImage, tidegate:autoscalerImage, tidegate:workerImage"
    if not machine.has("docker"):
        yield Missing("the docker command, which builds images", f"install Docker, or {elsewhere}")
        return
    engine = machine.run("docker", "version", "--format", "{{.Server.Version}}")
    if engine.code != 0:
        yield Missing(f"a Docker engine: {_last_line(engine.text)}", f"start it, or {elsewhere}")
        return
    builder = machine.run("docker", "buildx", "inspect")
    if wanted.endswith(f"/{machine.processor}") or builder.code != 0 or wanted in builder.text:
        return
    processor = wanted.rpartition("/")[2]
    yield Missing(
        f"emulation of {processor}: tidegate:platform is {wanted}, and this is {machine.processor}",
        f"docker run --privileged --rm tonistiigi/binfmt --install {processor}; or {elsewhere}",
    )


def _aws(stack: str, config: Mapping[str, str], machine: Machine) -> Iterator[Missing]:
    region = config.get("aws:region")
    if not region:
        yield Missing("the region: aws:region is not set", f"pulumi config set aws:region us-east-1 --stack {stack}")
        return
    try:
        machine.identity(region, config.get("aws:profile"))
    except CredentialsMissing as error:
        yield Missing(
            f"AWS credentials that work: {error}",
            "aws configure sso and then aws sso login; or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the like",
        )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"


def main(arguments: Sequence[str], machine: Machine) -> int:
    """Say what is missing; the exit status tells whether anything is."""
    if len(arguments) != 1:
        print("usage: python -m infra.preflight STACK", file=sys.stderr)
        return 2
    (stack,) = arguments
    found = list(missing(stack, machine))
    for each in found:
        print(f"missing for {stack}: {each.what}\n  get it: {each.cure}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], ThisMachine()))
