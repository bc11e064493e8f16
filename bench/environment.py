"""Throwaway environments for what the bench compares with and Tidegate does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INSTALL_S = 300.0


def environment(directory: Path, *packages: str) -> Path | None:
    """Make an environment with these packages in `directory`.

    Returns:
        its interpreter; None, after a message, when it cannot be made (without a package index, say).
    """
    uv = Path(sys.executable).with_name("uv")
    python = directory / "venv" / "bin" / "python"
    if uv.exists():
        steps = [
            [str(uv), "venv", "-q", "--python", sys.executable, str(directory / "venv")],
            [str(uv), "pip", "install", "-q", "--python", str(python), *packages],
        ]
    else:
        steps = [
            [sys.executable, "-m", "venv", str(directory / "venv")],
            [str(python), "-m", "pip", "install", "-q", *packages],
        ]
    for step in steps:
        try:
            answer = subprocess.run(step, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"no reference: {' '.join(step)}: {error}", file=sys.stderr)
            return None
        if answer.returncode:
            print(f"no reference: {' '.join(step)} failed:\n{answer.stderr.strip()[-1000:]}", file=sys.stderr)
            return None
    return python
