"""`python -m services.worker`: this machine's worker processes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from services.compute import log
from services.compute.settings import LogSettings
from services.worker.exits import MISCONFIGURED
from services.worker.settings import WorkerSettings
from services.worker.supervisor import Supervisor, spawner


def main() -> int:
    """Supervise; the exit status."""
    try:
        settings, logging_settings = WorkerSettings(), LogSettings()
    except ValueError as error:
        print(f"worker: {error}", file=sys.stderr)
        return MISCONFIGURED
    log.configure(logging_settings)
    # Held open for as long as this process lives, and by nobody else.
    life, _held = os.pipe()
    directory = Path(tempfile.mkdtemp(prefix="tidegate-worker-", dir=settings.worker_directory))
    try:
        spawn = spawner(settings.machine, directory, life)
        return Supervisor(settings.worker_processes, spawn, settings.worker_grace).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
