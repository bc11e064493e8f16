"""Settings of the dispatcher and the reconciler."""

from __future__ import annotations

from pydantic import Field

from services.compute.settings import EnvironmentSettings


class DispatchSettings(EnvironmentSettings):
    """How tasks go from Redis to Dask, and when those that got lost are sent again."""

    in_flight_max: int = Field(
        20_000, ge=1, description="Tasks handed to Dask and not final, over all replicas; the rest waits in Redis."
    )
    bundle_target_ms: float = Field(
        100.0, gt=0, description="Milliseconds that a bundle of short tasks should run, by their learned duration."
    )
    bundle_max: int = Field(500, ge=1, le=5000, description="Tasks in one bundle, at most.")
    reconcile_interval: float = Field(1.0, gt=0, description="Seconds between two rounds of the reconciler.")
    reconcile_grace: float = Field(
        5.0,
        gt=0,
        description="Seconds after which a dispatched task is looked for at the scheduler, and looked for again.",
    )
    version_wait: float = Field(
        600.0, ge=0, description="Seconds that a task waits for a worker with its version of the code; then it fails."
    )
