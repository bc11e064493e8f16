"""Settings that more than one service reads, from the environment.

Built in each service's `__main__` or factory, never at import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class EnvironmentSettings(BaseSettings):
    """Base of all settings: read from the environment by the field's name in capitals; empty means unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", populate_by_name=True)


class RedisSettings(EnvironmentSettings):
    """How to reach the Redis or Valkey server that keeps queue, records and results."""

    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Server, without a password; `rediss://` for TLS.")
    redis_password: SecretStr | None = Field(None, description="Password or ElastiCache AUTH token.")
    redis_ca_file: Path | None = Field(None, description="CA bundle that signs the server's certificate (PEM).")
    redis_prefix: str = Field(
        "tidegate",
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="Leads every key, as `{prefix}:`, so that stacks can share a server.",
    )


class SchedulerSettings(EnvironmentSettings):
    """Where the Dask scheduler is, and the certificates to speak to it."""

    scheduler_address: str = Field("tcp://127.0.0.1:8786", description="Dask scheduler, tried first.")
    scheduler_fallback: str | None = Field(
        None, description="Second address, tried when the first does not answer (a DNS name)."
    )
    dask_tls_ca: Path | None = Field(
        None, description="CA of the Dask cluster (PEM); with certificate and key turns TLS on."
    )
    dask_tls_cert: Path | None = Field(None, description="Certificate of this process for Dask (PEM).")
    dask_tls_key: Path | None = Field(None, description="Private key of `DASK_TLS_CERT` (PEM).")


class ComputeSettings(EnvironmentSettings):
    """Which computations are served, and where large results go."""

    compute_modules: str = Field(
        "services.compute.tasks", description="Packages or modules with computations, comma-separated."
    )
    object_store: str | None = Field(
        None,
        description="Where results above `RESULT_INLINE_MAX` go: `file:///directory` or `s3://bucket/prefix`. "
        "Unset: such tasks fail.",
    )


class LogSettings(EnvironmentSettings):
    """What is logged and how."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level that is logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: text on a terminal, JSON elsewhere."
    )
