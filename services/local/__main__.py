"""`python -m services.local`: everything on one machine, until Ctrl-C. `make up` runs this.

Exit status: 0 when it was asked to end, 1 when a part failed, 2 when it could not begin as set.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from services.compute.settings import explain
from services.local import fleet
from services.local.directory import DataDirectory
from services.local.errors import LocalError, PartFailed
from services.local.network import reachable_host
from services.local.parts import Plan, foreign_server_answers, plan
from services.local.settings import LocalSettings
from services.local.stack import Stack

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str) -> None:
    """Tell the person at the terminal; a terminal that is gone is no reason to stumble."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m services.local", description="Tidegate on one machine.")
    parser.add_argument("--data", type=Path, help="directory of all data (default: TIDEGATE_DATA, or .tidegate)")
    parser.add_argument("--fresh", action="store_true", help="forget tasks and results of earlier runs")
    return parser.parse_args(argv)


async def run(settings: LocalSettings, *, fresh: bool) -> int:
    """Run a stack until a signal asks for its end; returns the exit status."""
    began = time.monotonic()
    if settings.redis_url is not None:
        if fresh:
            raise LocalError(
                "--fresh forgets the embedded Valkey's data, but REDIS_URL names another server: unset one of them"
            )
        await foreign_server_answers(settings.redis_url)
    directory = DataDirectory(settings.tidegate_data, fresh=fresh)
    try:
        ready = plan(settings, directory, os.environ)
        stack = Stack(ready, directory, say)
        try:
            return await _until_signal(stack, settings, ready, directory, began)
        finally:
            await stack.stop()
            say("Tidegate has ended.")
    finally:
        directory.close()


async def _until_signal(
    stack: Stack, settings: LocalSettings, ready: Plan, directory: DataDirectory, began: float
) -> int:
    async def work() -> None:
        await stack.start(settings.local_start_timeout)
        say(welcome(ready, directory, time.monotonic() - began))
        host, port = reachable_host(settings.api_host).strip("[]"), int(ready.api.rpartition(":")[2])
        telling = asyncio.create_task(fleet.tell(host, port, say))
        try:
            await stack.watch()
        finally:
            telling.cancel()

    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            stack.hurry()
        else:
            say("\nEnding: API, workers, scheduler, Valkey. Once more to end at once.")
            stopping.set()

    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    working = asyncio.create_task(work())
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
    for task in (working, asked):
        task.cancel()
    try:
        await working
    except asyncio.CancelledError:
        return 0
    except PartFailed as error:
        say(f"Tidegate ends: {error}")
        return 1
    return 0


def welcome(ready: Plan, directory: DataDirectory, seconds: float) -> str:
    """What to do next."""
    if "services.compute.tasks" in os.environ.get("COMPUTE_MODULES", "services.compute.tasks"):
        call = (
            "curl -s -H 'Content-Type: application/json' -H 'Prefer: wait=10' -d '{\"n\": 100}' "
            f"{ready.api}/api/v1/computations/fibonacci/tasks"
        )
    else:
        call = f"curl -s {ready.api}/api/v1/computations"
    return f"""Tidegate is up after {seconds:.1f} s; Ctrl-C ends it.

  API        {ready.api}/api/v1/docs
  Scheduler  {ready.scheduler}
  Redis      {ready.redis}
  Data       {directory.path} (logs in logs/)

  {call}
"""


def main() -> int:
    """Read settings and arguments, run, and turn errors into messages."""
    options = arguments()
    try:
        settings = LocalSettings()
        if options.data is not None:
            settings = settings.model_copy(update={"tidegate_data": options.data})
        return asyncio.run(run(settings, fresh=options.fresh))
    except (ValidationError, LocalError) as error:
        say(f"Tidegate cannot start: {explain(error)}")
    except KeyboardInterrupt:
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main())
