"""The Dockerfiles pass hadolint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HADOLINT = Path(sys.executable).with_name("hadolint")
SERVICES = Path(__file__).parents[2] / "services"


def hadolint(text: str) -> str:
    """What it says of a Dockerfile."""
    command = [str(HADOLINT), "--no-color", "--failure-threshold", "info", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60).stdout


@pytest.mark.parametrize("service", ["api", "autoscaler", "worker"])
def test_nothing_is_found(service: str) -> None:
    assert hadolint((SERVICES / service / "Dockerfile").read_text()) == ""


def test_it_finds_things() -> None:
    assert "DL3006" in hadolint("FROM python\nRUN pip install x\n")


def test_waivers_have_reasons() -> None:
    for path in SERVICES.glob("*/Dockerfile"):
        for line in path.read_text().splitlines():
            assert "hadolint ignore=" not in line or " - " in line
