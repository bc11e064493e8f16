"""Settings that more than one service reads, from the environment.

Built in each service's `__main__` or factory, never at import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class EnvironmentSettings(BaseSettings):
    """Base of all settings: read from the environment by the field's name in capitals; empty means unset."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore", populate_by_name=True)


def explain(error: Exception) -> str:
    """Say what keeps a process from starting; of unusable settings, `NAME: message`, a line for each, and no value."""
    if not isinstance(error, ValidationError):
        return str(error)
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        own = problem.get("ctx", {}).get("error")  # what a validator here has said, without Pydantic's "Value error, "
        message = problem["msg"] if own is None or problem["type"] != "value_error" else str(own)
        variable = ".".join(map(str, problem["loc"])).upper()
        lines.append(f"{variable}: {message}" if variable else message)
    return "\n".join(lines)


def check_redis_url(url: str) -> str:
    """Return the URL of a Redis server as it is.

    Raises:
        ValueError: it is none, or holds a password, which the message does not repeat.
    """
    form = "is not of the form redis://host:port/0 (rediss:// for TLS, unix:///path for a socket)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{form}: its host or port cannot be read") from None
    if parts.password or "password" in parse_qs(parts.query):
        raise ValueError("holds a password, which logs and process lists would show: give it in REDIS_PASSWORD")
    if parts.scheme == "unix":
        usable = bool(parts.path)
    else:
        usable = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and port != 0
    if not usable:
        raise ValueError(form)
    return url


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

    @field_validator("redis_url")
    @classmethod
    def _usable_url(cls, value: str) -> str:
        return check_redis_url(value)


class SchedulerSettings(EnvironmentSettings):
    """Where the Dask scheduler is, and the certificates to speak to it."""

    scheduler_address: str = Field("tcp://127.0.0.1:8786", description="Dask scheduler, tried first.")
    scheduler_fallback: str | None = Field(
        None, description="Second address, tried when the first does not answer (a DNS name)."
    )
    dask_tls_ca: str | None = Field(
        None,
        description="CA of the Dask cluster, as a file or as PEM text; with certificate and key turns TLS on "
        "(addresses then begin with `tls://`).",
    )
    dask_tls_cert: str | None = Field(
        None, description="Certificate of this process for Dask, as a file or as PEM text."
    )
    dask_tls_key: SecretStr | None = Field(
        None, description="Private key of `DASK_TLS_CERT`, as a file or as PEM text; without a passphrase."
    )

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        parts = {
            "DASK_TLS_CA": self.dask_tls_ca,
            "DASK_TLS_CERT": self.dask_tls_cert,
            "DASK_TLS_KEY": self.dask_tls_key,
        }
        missing = [name for name, part in parts.items() if part is None]
        if missing and len(missing) < len(parts):
            raise ValueError(
                f"{', '.join(missing)}: not set, but all of {', '.join(parts)} turn TLS on: set all or none"
            )
        for name in {"scheduler_address", "scheduler_fallback"} & self.model_fields_set if not missing else ():
            if not (getattr(self, name) or "tls://").startswith("tls://"):
                raise ValueError(f"{name.upper()} must begin with tls://, since {', '.join(parts)} turn TLS on")
        return self


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


class MetricsSettings(EnvironmentSettings):
    """Metrics as log lines, for CloudWatch, besides those for Prometheus."""

    metrics_emf: bool = Field(
        False, description="Whether metrics also go to standard output, in CloudWatch's embedded metric format."
    )
    metrics_interval: float = Field(60.0, ge=1, le=3600, description="Seconds between two lines of metrics.")
    metrics_namespace: str = Field(
        "Tidegate",
        pattern=r"^[A-Za-z0-9_./#-]{1,255}$",
        description="CloudWatch namespace of the metrics.",
    )
    metrics_stack: str = Field(
        "tidegate", pattern=r"^[A-Za-z0-9_./-]{1,250}$", description="Value of the metrics' dimension `Stack`."
    )

    @field_validator("metrics_namespace")
    @classmethod
    def _not_of_aws(cls, value: str) -> str:
        if value.startswith("AWS/"):
            raise ValueError("begins with AWS/, which CloudWatch keeps for itself: choose another name")
        return value
