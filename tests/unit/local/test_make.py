"""`make up` with an environment of stand-ins, which write down what they are given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $* PYTHONPATH=${PYTHONPATH-unset} COMPUTE_MODULES=${COMPUTE_MODULES-unset}" >> "$0.log"
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return a folder with a `python` and a `uv` that only say how they were called."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "uv"):
        program = tmp_path / "bin" / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    return tmp_path


def make(environment: Path, target: str) -> None:
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "/my/own",
        "COMPUTE_MODULES": "mine",
    }
    command = [shutil.which("make") or "make", "--no-print-directory", target, f"VENV={environment}"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_of_ones_own_reach_the_stack_and_not_the_installation(environment: Path) -> None:
    make(environment, "up")
    assert (environment / "bin/python.log").read_text() == (
        "python -m services.local PYTHONPATH=/my/own COMPUTE_MODULES=mine\n"
    )
    installing = (environment / "bin/uv.log").read_text().splitlines()
    assert [line.split()[2:4] for line in installing] == [["pip", "sync"], ["pip", "install"]]
    assert all("PYTHONPATH=unset" in line for line in installing)


def test_a_new_environment_is_made_without_packages_of_ones_own(environment: Path) -> None:
    (environment / "bin/uv").unlink()
    make(environment, f"{environment}/bin/uv")
    assert "pip install" in (environment / "bin/python.log").read_text()
    assert "PYTHONPATH=unset" in (environment / "bin/python.log").read_text()
