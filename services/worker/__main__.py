"""`python -m services.worker`: this machine's worker processes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from services.compute import log
from services.compute.settings import LogSettings, explain
from services.worker.exits import MISCONFIGURED
from services.worker.machine import MachineUnknown, machine_name
from services.worker.parent import die_with_parent
from services.worker.settings import WorkerSettings
from services.worker.supervisor import Supervisor, spawner


def main() -> int:
    """Supervise; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.worker", description="This machine's worker processes.")
    parser.add_argument(
        "--life", type=int, help="read end of a pipe: its end ends this process, and with it its workers"
    )
    parser.add_argument("--parent", type=int, help="id of the process that holds the pipe's other end")
    options = parser.parse_args()
    if options.life is not None and options.parent is not None:
        die_with_parent(options.life, options.parent)
    try:
        settings, logging_settings = WorkerSettings(), LogSettings()
    except ValueError as error:
        print(f"worker: {explain(error)}", file=sys.stderr)
        return MISCONFIGURED
    log.configure(logging_settings)
    try:
        machine = machine_name(settings)
    except MachineUnknown as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1
    # Held open for as long as this process lives, and by nobody else.
    life, _held = os.pipe()
    directory = Path(tempfile.mkdtemp(prefix="tidegate-worker-", dir=settings.worker_directory))
    try:
        spawn = spawner(machine, directory, life)
        return Supervisor(settings.worker_processes, spawn, settings.worker_grace).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
