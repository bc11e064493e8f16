"""Settings of the worker supervisor, its processes and the scheduler, from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from services.compute.settings import EnvironmentSettings


class WorkerSettings(EnvironmentSettings):
    """How one machine works: processes, threads, ports, and how it leaves."""

    worker_processes: int = Field(1, ge=1, description="Worker processes of this machine: pure Python wants several.")
    worker_threads: int | None = Field(
        None, ge=1, description="Threads of each process: NumPy wants several. Unset: the CPUs shared out."
    )
    worker_name: str | None = Field(
        None,
        min_length=1,
        description="Name of this machine; its processes add `-0`, `-1`… Unset: the ECS task's id where there is one, "
        "else the host's name.",
    )
    worker_host: str | None = Field(
        None, description="Address that workers listen at and announce. Unset: the one that faces the scheduler."
    )
    worker_ports: str | None = Field(
        None,
        pattern=r"^\d+([:-]\d+)?$",
        description="Port or range (`9000-9100`) that workers listen at. Unset: any free port.",
    )
    worker_grace: float = Field(
        110.0, ge=0, description="Seconds that a worker may take to finish what it runs after SIGTERM."
    )
    worker_memory: str = Field(
        "auto",
        description="Memory of each process (`2GiB`); it spills and pauses near it. `auto`: shared out; `0`: no limit.",
    )
    worker_directory: Path | None = Field(
        None, description="Where workers spill to, in a directory that they remove. Unset: the system's temporary one."
    )
    scheduler_wait: float = Field(
        300.0, ge=0, description="Seconds that a worker waits for a scheduler before it gives up."
    )
    ecs_container_metadata_uri_v4: str | None = Field(
        None, description="Where a container asks about its ECS task; set by ECS itself."
    )
    result_inline_max: int = Field(
        262144, ge=0, description="Bytes of the largest result that Redis keeps; others go to `OBJECT_STORE`."
    )
    result_max_bytes: int = Field(67108864, ge=1, description="Bytes of the largest result that is kept at all.")

    @property
    def threads(self) -> int:
        """Threads of each process."""
        return self.worker_threads or max(1, (os.cpu_count() or 1) // self.worker_processes)

    @property
    def ports(self) -> str | None:
        """The port range as Dask writes it."""
        return None if self.worker_ports is None else self.worker_ports.replace("-", ":")


class SchedulerProcessSettings(EnvironmentSettings):
    """Where the scheduler listens."""

    scheduler_host: str = Field("0.0.0.0", description="Address that the scheduler listens at.")  # noqa: S104
    scheduler_port: int = Field(8786, ge=1, le=65535, description="Port of the scheduler.")
    scheduler_dashboard_port: int = Field(
        8787, ge=0, le=65535, description="Port of Dask's dashboard and health page; 0 turns them off."
    )
