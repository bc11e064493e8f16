"""Settings of what runs beside the HTTP API: the connection to Dask, the dispatcher and the reconciler."""

from __future__ import annotations

from pydantic import Field

from services.compute.settings import SchedulerSettings


class DispatchSettings(SchedulerSettings):
    """How tasks get from Redis to Dask, and how what is lost on the way is found again."""

    in_flight_max: int = Field(
        20_000, ge=1, description="Tasks in Dask at once, over all API processes; more wait in Redis."
    )
    bundle_target_ms: float = Field(
        100.0, gt=0, description="Milliseconds that a bundle of short tasks should run, by learned duration."
    )
    bundle_max: int = Field(500, ge=1, le=5000, description="Tasks in one bundle, at most.")
    version_wait: float = Field(
        600.0,
        ge=0,
        description="Seconds that a task waits for a worker that holds its version of the code; then it fails.",
    )
    reconcile_interval: float = Field(
        1.0, ge=0.1, le=60, description="Seconds between two rounds of the reconciler; bounds how late deadlines are."
    )
    reconcile_grace: float = Field(
        5.0,
        ge=0.5,
        le=300,
        description="Seconds after its dispatch when a task is first looked for in Dask; a worker process that has "
        "vanished gets twice as long to come back before its tasks are given to others.",
    )

    @property
    def scheduler_addresses(self) -> tuple[str, ...]:
        """Where the scheduler may be, in the order to try."""
        return tuple(address for address in (self.scheduler_address, self.scheduler_fallback) if address)
