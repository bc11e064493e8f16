"""A stack's settings: one model, read once from its configuration. Every wrong value fails before any resource exists.

What is left out and depends on the tier gets its default in `_by_tier`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from infra import combinations, ports
from infra.texts import (
    Domain,
    Email,
    HostedZone,
    Image,
    Modules,
    Networks,
    NodeType,
    PrivateNetwork,
    Requirements,
    Topic,
)

NAMESPACE = "tidegate"
"""Of the keys: `pulumi config set tidegate:workersMax 50`."""
SHOWN: Final = 200
"""Characters of a wrong value that a message repeats."""


class ConfigError(Exception):
    """The stack's configuration cannot be used; the message names each key, what is wrong and what to do."""


class NetworkSettings(BaseModel):
    """The network, and who may reach what."""

    vpc_cidr: PrivateNetwork = Field(
        IPv4Network("10.0.0.0/16"), description="Addresses of the VPC, private ones, /16 to /23."
    )
    availability_zones: int = Field(2, ge=2, le=6, description="Availability zones; a load balancer needs two.")
    zone_mask: int = Field(
        19,
        ge=17,
        le=24,
        description="Prefix length of each zone's part of the VPC: fixed, so that a zone can be added. Half of it is "
        "for tasks, an eighth for the load balancer, which wants a /27.",
    )
    nat: Literal["none", "single", "per-zone"] | None = Field(
        None,
        description="NAT gateways. `none`: tasks reach AWS by VPC endpoints only. Unset: `single`, in production "
        "`per-zone`.",
    )
    service_quotas_endpoint: bool = Field(
        True, description="With `nat: none`: whether the region has a VPC endpoint for Service Quotas."
    )
    ingress_cidrs: Networks = Field(
        (IPv4Network("0.0.0.0/0"),), description="Who may reach the load balancer: networks, comma-separated or a list."
    )
    internal: bool = Field(False, description="Whether the load balancer has private addresses only.")
    worker_egress_cidrs: Networks = Field(
        (), description="Networks that workers may reach besides, on all ports (databases, file servers)."
    )


class ImageSettings(BaseModel):
    """The images."""

    platform: Literal["linux/amd64", "linux/arm64"] = Field("linux/amd64", description="What tasks run on.")
    api_image: Image | None = Field(None, description="Image of the API, instead of a build.")
    autoscaler_image: Image | None = Field(None, description="Image of the autoscaler.")
    worker_image: Image | None = Field(None, description="Image of workers and scheduler.")
    computations: Requirements | None = Field(
        None, description="An author's packages, as pip names them, for the images of API and workers."
    )
    compute_modules: Modules = Field(
        "services.compute.tasks",
        description="Packages or modules with computations, comma-separated; those outside `services.compute` come "
        "with `computations` or given images.",
    )


class FleetSettings(BaseModel):
    """Scheduler, workers and autoscaler."""

    scheduler_cpu: int = Field(1024, description="CPU units of the scheduler (1024 are one vCPU).")
    scheduler_memory: int = Field(4096, description="MiB of the scheduler.")
    scheduler_timeout: int = Field(
        600, ge=60, le=3600, description="Seconds in which a scheduler must be running and healthy; then `up` fails."
    )
    worker_cpu: int = Field(2048, description="CPU units of each worker.")
    worker_memory: int = Field(8192, description="MiB of each worker.")
    worker_storage: int | None = Field(None, ge=21, le=200, description="GiB of each worker's disk. Unset: 20.")
    worker_processes: int = Field(
        1,
        ge=1,
        le=1 + ports.WORKERS[1] - ports.WORKERS[0],
        description="Worker processes of each worker: pure Python wants several.",
    )
    worker_threads: int = Field(2, ge=1, le=256, description="Threads of each process: NumPy wants several.")
    workers_min: int = Field(0, ge=0, description="Workers kept also without work.")
    workers_max: int = Field(20, ge=1, le=10_000, description="Workers at most.")
    use_spot: bool = Field(True, description="Whether workers run on Fargate Spot.")
    on_demand_base: int = Field(0, ge=0, description="Workers that run on demand; those beyond run on Spot.")
    target_duration: float = Field(
        25.0,
        ge=1,
        le=3600,
        allow_inf_nan=False,
        description="Seconds in which the fleet should be able to do all work at hand.",
    )
    observe_only: bool = Field(False, description="The autoscaler decides and reports, and starts and stops nothing.")
    dask_tls: bool = Field(False, description="TLS between scheduler, workers, API and autoscaler.")
    shared_files: bool = Field(False, description="A file system (EFS) that all workers have at `/files`.")


class ApiSettings(BaseModel):
    """The API and how it is reached."""

    api_cpu: int = Field(512, description="CPU units of each API task.")
    api_memory: int = Field(1024, description="MiB of each API task.")
    api_min: int | None = Field(None, ge=1, description="API tasks at least. Unset: 1, in production 2.")
    api_max: int = Field(8, ge=1, le=200, description="API tasks at most.")
    requests_per_target: int = Field(
        30_000, ge=1, le=10_000_000, description="Requests a minute and API task, above which another one is started."
    )
    domain: Domain | None = Field(None, description="Name of the API, with HTTPS.")
    hosted_zone: HostedZone | None = Field(None, description="Id of the Route 53 zone that `domain` is in.")
    queue_max: int = Field(
        1_000_000, ge=1, le=100_000_000, description="Tasks that may wait; beyond it a new one is refused with 429."
    )


class DataSettings(BaseModel):
    """What keeps data: the cache and the bucket."""

    cache_engine: Literal["valkey", "redis"] = Field(
        "valkey",
        description="`redis` is Redis OSS 7. A change from `valkey` replaces the cache, and what it holds is lost.",
    )
    cache_node_type: NodeType | None = Field(
        None, description="Node type. Unset: `cache.t4g.small`, in production `cache.r7g.large`."
    )
    cache_replicas: int | None = Field(None, ge=0, le=5, description="Replicas. Unset: 0, in production 1.")
    cache_snapshot_days: int | None = Field(
        None, ge=0, le=35, description="Days that daily snapshots are kept. Unset: 0, in production 7."
    )
    results_days: int = Field(7, ge=2, le=365, description="Days after which large results are deleted.")


class WatchSettings(BaseModel):
    """What operators see."""

    log_days: int | None = Field(None, description="Days that logs are kept. Unset: 14, in production 90.")
    container_insights: bool | None = Field(
        None, description="CloudWatch Container Insights of the cluster. Unset: only in production."
    )
    alarm_email: Email | None = Field(None, description="Who gets alarms, by mail.")
    alarm_topic: Topic | None = Field(None, description="SNS topic of the stack's region that alarms go to instead.")


_LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_PRODUCTION = {
    "nat": "per-zone",
    "api_min": 2,
    "cache_node_type": "cache.r7g.large",
    "cache_replicas": 1,
    "cache_snapshot_days": 7,
    "log_days": 90,
    "container_insights": True,
}
_DEVELOPMENT = {
    "nat": "single",
    "api_min": 1,
    "cache_node_type": "cache.t4g.small",
    "cache_replicas": 0,
    "cache_snapshot_days": 0,
    "log_days": 14,
    "container_insights": False,
}


class StackSettings(NetworkSettings, ImageSettings, FleetSettings, ApiSettings, DataSettings, WatchSettings):
    """Everything that a stack's configuration says."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    tier: Literal["development", "production"] = Field(
        "development",
        description="`production`: replicas, snapshots and longer logs by default, and no data deleted with the stack.",
    )

    @property
    def production(self) -> bool:
        """Whether losing data matters."""
        return self.tier == "production"

    @model_validator(mode="before")
    @classmethod
    def _by_tier(cls, values: dict[str, Any]) -> dict[str, Any]:
        defaults = _PRODUCTION if values.get("tier") == "production" else _DEVELOPMENT
        return {**{to_camel(name): value for name, value in defaults.items()}, **values}

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems = list(combinations.problems(self))
        if self.log_days not in _LOG_DAYS:
            days = ", ".join(map(str, _LOG_DAYS))
            problems.append(f"logDays: {self.log_days} is none of what CloudWatch takes: take one of {days}")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def cache_nodes(self) -> int:
        """Of the cache: the primary and its replicas."""
        return 1 + (self.cache_replicas or 0)

    @property
    def private_mask(self) -> int:
        """Prefix length of private subnets: half of a zone's part; an eighth of it is public."""
        return self.zone_mask + 1

    @property
    def public_mask(self) -> int:
        """Prefix length of public subnets."""
        return self.zone_mask + 3


def read(values: Mapping[str, str]) -> StackSettings:
    """Check a stack's configuration; with `aws:region` in it, also what must be there.

    Args:
        values: by full key (`project:key` or `tidegate:key`), as text; other namespaces are left alone.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or two do not go together.
    """
    own = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in values.items() if key.startswith(f"{NAMESPACE}:")}
    try:
        settings = StackSettings.model_validate(own)
    except ValidationError as error:
        raise _unusable(line for problem in error.errors(include_url=False) for line in _explain(problem)) from error
    if region := values.get("aws:region"):
        check_region(settings, region)
    return settings


def check_region(settings: StackSettings, region: str) -> None:
    """Check what a region, which may come from the environment, has to do with.

    Raises:
        ConfigError: something would have to be in this region, and is not.
    """
    if problems := list(combinations.of_region(settings, region)):
        raise _unusable(f"{NAMESPACE}:{problem}" for problem in problems)


def _unusable(lines: Iterable[str]) -> ConfigError:
    text = "\n  ".join(["this stack's configuration cannot be used:", *lines])
    return ConfigError(f"{text}\nSet a key with `pulumi config set`, unset it with `pulumi config rm`.")


def _explain(problem: ErrorDetails) -> Iterator[str]:
    key = str(problem["loc"][0]) if problem["loc"] else ""
    own = problem.get("ctx", {}).get("error")
    if problem["type"] == "extra_forbidden":
        known = {_plain(to_camel(name)): to_camel(name) for name in StackSettings.model_fields}
        close = difflib.get_close_matches(_plain(key), known, 1)
        hint = f"did you mean {NAMESPACE}:{known[close[0]]}?" if close else "see docs/configuration.md for all keys"
        yield f"{NAMESPACE}:{key} is no setting: {hint}"
    elif own is not None and not key:
        yield from (f"{NAMESPACE}:{line}" for line in str(own).splitlines())
    else:
        field = next(each for each in StackSettings.model_fields.values() if each.alias == key)
        shown = repr(problem["input"])
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}…"
        yield f"{NAMESPACE}:{key} is {shown}: {own or problem['msg']}. {field.description}"


def _plain(key: str) -> str:
    """A key without what people write differently."""
    return re.sub(r"[^a-z0-9]", "", key.lower())
