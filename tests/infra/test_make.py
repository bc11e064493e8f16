"""`make preview` and `make deploy` with an environment of stand-ins, which write down what they are given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = '#!/bin/sh\necho "$(basename "$0") $*" >> "$(dirname "$0")/log"\n'
REFUSAL = f'{STAND_IN}case "$*" in *preflight*) exit 1;; esac\n'


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return a folder with programs that only say how they were called."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "uv", "pulumi"):
        _program(tmp_path / "bin" / name, STAND_IN)
    return tmp_path


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _make(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Read by the engine from PATH; the environment's own programs come from VENV.
    variables = {"PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    command = [shutil.which("make") or "make", "--no-print-directory", *arguments, f"VENV={environment}"]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _said(environment: Path) -> list[str]:
    log = environment / "bin/log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(("target", "command"), [("preview", "preview"), ("deploy", "up")])
def test_pulumi_runs_on_the_stack_under_the_policies_once_nothing_is_missing(
    environment: Path, target: str, command: str
) -> None:
    done = _make(environment, target, "STACK=dev", "ARGS=--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _said(environment)[-2:] == [
        "python -m infra.preflight dev",
        f"pulumi {command} --stack dev --policy-pack infra/policy --diff",
    ]


@pytest.mark.parametrize("target", ["preview", "deploy"])
def test_what_operators_need_is_installed_before(environment: Path, target: str) -> None:
    _make(environment, target, "STACK=dev")
    assert [line for line in _said(environment) if line.startswith("uv")] == [
        "uv --no-progress pip sync --quiet --require-hashes requirements/infra.txt",
        "uv --no-progress pip install --quiet --no-deps --no-build-isolation --editable .",
    ]
    assert (environment / ".infra").exists()


def test_another_environment_in_its_place_is_forgotten(environment: Path) -> None:
    (environment / ".local").touch()
    _make(environment, "preview", "STACK=dev")
    assert not (environment / ".local").exists(), "`make up` would take the environment for its own"


def test_developers_have_all_of_it(environment: Path) -> None:
    (environment / ".dev").touch()
    _make(environment, "preview", "STACK=dev")
    assert [line.split()[0] for line in _said(environment)] == ["python", "pulumi"]
    assert (environment / ".dev").exists()


@pytest.mark.parametrize("target", ["preview", "deploy"])
def test_nothing_is_done_without_a_stack(environment: Path, target: str) -> None:
    done = _make(environment, target)
    assert done.returncode != 0
    assert f"Which stack? make {target} STACK=dev" in done.stderr
    assert _said(environment) == []


@pytest.mark.parametrize("target", ["preview", "deploy"])
def test_pulumi_does_not_run_while_something_is_missing(environment: Path, target: str) -> None:
    _program(environment / "bin/python", REFUSAL)
    assert _make(environment, target, "STACK=dev").returncode != 0
    assert [line for line in _said(environment) if line.startswith("pulumi")] == []
