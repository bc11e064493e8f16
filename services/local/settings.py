"""What can be set about the local stack; built in `__main__`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.compute.settings import EnvironmentSettings, check_redis_url


class LocalSettings(EnvironmentSettings):
    """The local stack: where its data lies, how it is reached, how many workers it has.

    Whatever else is set in the environment (`COMPUTE_MODULES`, `QUEUE_MAX`, `LOG_LEVEL` …) reaches the parts unchanged.
    """

    tidegate_data: Path = Field(Path(".tidegate"), description="Directory of everything the stack keeps.")
    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(8000, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    # One thread each: pure Python then uses both cores of the smallest machine, NumPy brings threads of its own, and a
    # worker that is replaced (timeout, crash) takes one task along. More of them is a matter of memory (100 MB each).
    local_workers_min: int = Field(1, ge=0, le=256, description="Worker processes kept also without work.")
    local_workers_max: int = Field(
        None,  # made of the machine, which the documentation does not know
        validate_default=True,
        ge=1,
        le=256,
        description="Worker processes at most; unset: one for each CPU, at least 2.",
    )
    worker_threads: int = Field(1, ge=1, le=256, description="Threads of each worker process.")
    worker_grace: float = Field(3.0, ge=0, description="Seconds that running tasks get to finish when the stack ends.")
    local_memory: str = Field(
        "1gb",
        pattern=r"^[0-9]+[kmg]b?$",
        description="Memory of the embedded Valkey; beyond it the results used longest ago go.",
    )
    local_start_timeout: float = Field(60.0, gt=0, description="Seconds that each part gets to become ready.")
    redis_url: str | None = Field(None, description="Another Redis or Valkey server, in place of the embedded one.")
    redis_password: SecretStr | None = Field(None, description="Password of the server that `REDIS_URL` names.")
    object_store: str | None = Field(
        None, description="Where large results go; unset: `objects/` in the data directory."
    )
    log_format: str = Field("console", description="Form of the parts' log files; see the shared settings.")

    @field_validator("local_workers_max", mode="before")
    @classmethod
    def _of_this_machine(cls, value: object) -> object:
        return max(2, os.cpu_count() or 1) if value is None else value

    @field_validator("redis_url")
    @classmethod
    def _usable_url(cls, value: str | None) -> str | None:
        return None if value is None else check_redis_url(value)

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.local_workers_min > self.local_workers_max:
            raise ValueError("LOCAL_WORKERS_MIN is above LOCAL_WORKERS_MAX: lower the one or raise the other")
        return self
