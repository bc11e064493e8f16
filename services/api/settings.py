"""Settings of the API process, read from the environment in `__main__` or `create_app`, never at import."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from services.api.dispatch_settings import DispatchSettings
from services.compute.settings import (
    ComputeSettings,
    LogSettings,
    MetricsSettings,
    RedisSettings,
    SchedulerSettings,
)

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")


class HttpSettings(ComputeSettings, LogSettings, MetricsSettings, RedisSettings, SchedulerSettings):
    """How the API listens, what it admits and for how long it holds a request."""

    api_host: str = Field("127.0.0.1", description="Address that the API listens on; `0.0.0.0` in a container.")
    api_port: int = Field(8000, ge=0, le=65535, description="TCP port that the API listens on.")
    api_keep_alive: int = Field(
        75,
        ge=1,
        le=3600,
        description="Seconds that an idle connection stays open: longer than the load balancer's idle timeout, which "
        "would meet connections closed under its hands; that in turn longer than 30 s, the longest `Prefer: wait`.",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[^/\s?#]+)*$",
        description="Path prefix under which a proxy serves the API, such as `/tidegate`; leads every path in answers.",
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may call the API, comma-separated; `*` for all. Empty turns CORS off."
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses of proxies whose `X-Forwarded-*` headers are believed, comma-separated; `*` for all.",
    )
    dispatch: bool = Field(
        True, description="Whether this process also runs a dispatcher and a reconciler beside the HTTP API."
    )
    queue_max: int = Field(
        1_000_000, ge=1, description="Tasks that may wait in Redis; beyond it a new task is refused with 429."
    )
    body_max_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="Bytes of a request body; beyond it 413, also for chunked bodies."
    )
    body_timeout: float = Field(
        30.0, gt=0, description="Seconds in which a request body must have arrived; beyond it 408."
    )
    requests_max: int = Field(
        4096, ge=1, description="Requests under way in one process, waiting ones included; beyond it 503."
    )
    streams_max: int = Field(512, ge=1, description="Event streams open in one process; beyond it 503.")
    stream_seconds: float = Field(
        3600.0,
        gt=0,
        description="Seconds after which an event stream is closed; clients resume it with `Last-Event-ID`.",
    )
    batches_max: int = Field(
        4, ge=1, description="Batches worked on at once in one process; more wait up to `BATCH_WAIT`, then 503."
    )
    batch_wait: float = Field(10.0, ge=0, description="Seconds that a batch waits for its turn.")
    shutdown_delay: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Seconds after SIGTERM for which everything but `/readyz` is answered as before, until the load "
        "balancer sends nothing new.",
    )
    shutdown_seconds: float = Field(
        20.0, gt=0, description="Seconds that requests under way get to end after that; then they are cut."
    )

    @field_validator("root_path")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_send_them(cls, value: str) -> str:
        for origin in _split(value):
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(
                    f"{origin[:100]!r} never matches: an origin is https://host or https://host:port, in lower case "
                    "and without a path"
                )
        return value

    @property
    def origins(self) -> list[str]:
        """CORS origins, one by one."""
        return _split(self.cors_origins)


class ApiSettings(HttpSettings, DispatchSettings):
    """Everything that the API process reads from the environment."""


def _split(origins: str) -> list[str]:
    return [origin.strip() for origin in origins.split(",") if origin.strip()]
