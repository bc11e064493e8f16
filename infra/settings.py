"""A stack's settings: one model, read once from its configuration. Every wrong value fails before any resource exists.

What is left out and depends on the tier gets its default in `_by_tier`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra import fargate, ports

NAMESPACE = "tidegate"
"""Of the keys: `pulumi config set tidegate:workersMax 50`."""
SPARE_ADDRESSES = 10
"""Addresses in private subnets beyond what is counted: a scheduler and an autoscaler and their successors, and some."""
BALANCER_ADDRESSES = 8
"""Of a load balancer, in each of its subnets: https://docs.aws.amazon.com/elasticloadbalancing/latest/application."""
ENDPOINTS = 7
"""Interface endpoints at most, which have an address in each zone."""
NETWORKS_MAX = 25
"""Of a list: each is a rule, with HTTPS two, and a security group has 60."""
RESERVED_ADDRESSES = 5
"""Of each subnet, AWS keeps so many."""


_NAME_MAX, _LABEL_MAX = 64, 63


class ConfigError(Exception):
    """The stack's configuration cannot be used; the message names each key, what is wrong and what to do."""


def _listed(value: object) -> object:
    """A list as JSON or comma-separated text."""
    if isinstance(value, str):
        return json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",") if part]
    return value


def _distinct(networks: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """AWS refuses the second of two equal rules, in the middle of an `up`."""
    if len(set(networks)) < len(networks):
        raise ValueError("a network is there twice: name each once")
    if len(networks) > NETWORKS_MAX:
        raise ValueError(f"{len(networks)} networks: a security group has room for {NETWORKS_MAX}, so sum them up")
    return networks


Networks = Annotated[tuple[IPv4Network, ...], BeforeValidator(_listed), AfterValidator(_distinct)]
Image = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$"),
]


class NetworkSettings(BaseModel):
    """The network, and who may reach what."""

    vpc_cidr: IPv4Network = Field(IPv4Network("10.0.0.0/16"), description="Addresses of the VPC, /16 to /23.")
    availability_zones: int = Field(2, ge=2, le=6, description="Availability zones; a load balancer needs two.")
    zone_mask: int = Field(
        19,
        ge=17,
        le=24,
        description="Prefix length of each zone's part of the VPC: fixed, so that a zone can be added.",
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
    computations: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 .,_=<>!~@:/+\[\]-]*$",
        description="An author's package, as pip names it, for the images of API and workers.",
    )
    compute_modules: str = Field(
        "services.compute.tasks",
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*( *, *[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)*$",
        description="Packages or modules with computations, comma-separated.",
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
    worker_threads: int = Field(2, ge=1, description="Threads of each process: NumPy wants several.")
    workers_min: int = Field(0, ge=0, description="Workers kept also without work.")
    workers_max: int = Field(20, ge=1, le=10_000, description="Workers at most.")
    use_spot: bool = Field(True, description="Whether workers run on Fargate Spot.")
    on_demand_base: int = Field(0, ge=0, description="Workers that run on demand; those beyond run on Spot.")
    target_duration: float = Field(
        25.0, gt=0, le=3600, description="Seconds in which the fleet should be able to do all work at hand."
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
        30_000, ge=1, description="Requests a minute and API task, above which another one is started."
    )
    domain: str | None = Field(
        None, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$", description="Name of the API, with HTTPS."
    )
    hosted_zone: str | None = Field(
        None, pattern=r"^Z[A-Z0-9]{8,31}$", description="Id of the Route 53 zone that `domain` is in."
    )
    queue_max: int = Field(1_000_000, ge=1, description="Tasks that may wait; beyond it a new one is refused with 429.")


class DataSettings(BaseModel):
    """What keeps data: the cache and the bucket."""

    cache_engine: Literal["valkey", "redis"] = Field("valkey", description="`redis` is Redis OSS 7.")
    cache_node_type: str | None = Field(
        None,
        # https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html, without data tiering.
        pattern=r"^cache\.(t[123]|t4g|m[4567]|m[67]g|r[45]|r[67]g|c7gn)\.(micro|small|medium|large|\d{0,2}xlarge)$",
        description="Node type. Unset: `cache.t4g.small`, in production `cache.r7g.large`.",
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
    alarm_email: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="Who gets alarms, by mail."
    )
    alarm_topic: str | None = Field(
        None, pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[\w-]+$", description="SNS topic that alarms go to instead."
    )


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

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

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
        given = {name for name in defaults if values.get(name) is not None or values.get(to_camel(name)) is not None}
        return {**values, **{name: value for name, value in defaults.items() if name not in given}}

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems = [*self._network_problems(), *self._size_problems(), *self._other_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _network_problems(self) -> list[str]:
        prefix, problems = self.vpc_cidr.prefixlen, []
        if not 16 <= prefix <= 23:
            problems.append(f"vpcCidr: {self.vpc_cidr} is a /{prefix}: AWS takes /16 to /28, and this stack up to /23")
        zones = 2 ** (self.zone_mask - prefix) if self.zone_mask >= prefix else 0
        if zones < self.availability_zones:
            problems.append(
                f"zoneMask: {self.vpc_cidr} has room for {zones} zones of /{self.zone_mask}, and availabilityZones is "
                f"{self.availability_zones}: raise zoneMask, or take a larger vpcCidr"
            )
        room = self.availability_zones * (2 ** (32 - self.private_mask) - RESERVED_ADDRESSES)
        per_zone = (ENDPOINTS if self.nat == "none" else 0) + (BALANCER_ADDRESSES if self.internal else 0)
        nodes = 1 + (self.cache_replicas or 0)
        needed = self.workers_max + self.api_max * 2 + nodes + self.availability_zones * per_zone + SPARE_ADDRESSES
        if room < needed:
            problems.append(
                f"zoneMask: private subnets of /{self.private_mask} have {room} addresses, and workersMax "
                f"{self.workers_max} with apiMax {self.api_max} needs {needed}: lower zoneMask or workersMax"
            )
        return problems

    def _size_problems(self) -> list[str]:
        problems = []
        for part in ("scheduler", "worker", "api"):
            problem = fargate.size_problem(getattr(self, f"{part}_cpu"), getattr(self, f"{part}_memory"))
            if problem:
                problems.append(f"{part}Cpu, {part}Memory: {problem}")
        for low, high in (("workers_min", "workers_max"), ("api_min", "api_max"), ("on_demand_base", "workers_max")):
            if getattr(self, low) > getattr(self, high):
                problems.append(
                    f"{to_camel(low)}: {getattr(self, low)} is more than {to_camel(high)} {getattr(self, high)}: lower "
                    "the one or raise the other"
                )
        return problems

    def _other_problems(self) -> list[str]:
        problems = []
        if (self.domain is None) != (self.hosted_zone is None):
            problems.append("domain, hostedZone: set both (HTTPS under a name of yours) or none (HTTP)")
        images = (self.api_image, self.autoscaler_image, self.worker_image)
        if any(images) and not all(images):
            problems.append("apiImage, autoscalerImage, workerImage: give all three images, or none to have them built")
        if any(images) and self.computations:
            problems.append("computations: given images are not built: put the package into them, and unset it")
        if not self.ingress_cidrs:
            problems.append("ingressCidrs: nobody could reach the API: name networks (with `internal`, those inside)")
        if self.production and (self.api_min or 0) < 2:
            problems.append(f"apiMin: {self.api_min} is too few for production, where one may fail: take 2 or more")
        if self.production and not (self.cache_replicas and self.cache_snapshot_days):
            problems.append(
                "cacheReplicas, cacheSnapshotDays: production keeps a replica and snapshots: 1 or more of each"
            )
        if self.domain and (len(self.domain) > _NAME_MAX or max(map(len, self.domain.split("."))) > _LABEL_MAX):
            problems.append(
                f"domain: certificates take {_NAME_MAX} characters, {_LABEL_MAX} between two dots: shorten it"
            )
        if self.log_days not in _LOG_DAYS:
            days = ", ".join(map(str, _LOG_DAYS))
            problems.append(f"logDays: {self.log_days} is none of what CloudWatch takes: {days}")
        if self.alarm_email and self.alarm_topic:
            problems.append("alarmEmail, alarmTopic: set one of them")
        if re.match(r"cache\.t[12]\.", self.cache_node_type or ""):
            problems.append(f"cacheNodeType: {self.cache_node_type} has no TLS: take a t3, a t4g or a larger one")
        return problems

    @property
    def private_mask(self) -> int:
        """Prefix length of private subnets: half of a zone's part; an eighth of it is public."""
        return self.zone_mask + 1

    @property
    def public_mask(self) -> int:
        """Prefix length of public subnets."""
        return min(28, self.zone_mask + 3)


def read(values: Mapping[str, str]) -> StackSettings:
    """Check a stack's configuration.

    Args:
        values: by full key (`project:key` or `tidegate:key`), as text; other namespaces are left alone.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or two do not go together.
    """
    own = {key.removeprefix(f"{NAMESPACE}:"): value for key, value in values.items() if key.startswith(f"{NAMESPACE}:")}
    try:
        return StackSettings.model_validate(own)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        own = problem.get("ctx", {}).get("error")
        if problem["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, map(to_camel, StackSettings.model_fields), 1)
            hint = f": did you mean {NAMESPACE}:{close[0]}?" if close else ": see docs/configuration.md for all keys"
            lines.append(f"{NAMESPACE}:{key} is no setting{hint}")
        elif own is not None and not key:
            lines += [f"{NAMESPACE}:{line}" for line in str(own).splitlines()]
        else:
            description = StackSettings.model_fields[_field(key)].description
            lines.append(f"{NAMESPACE}:{key} is {problem.get('input')!r}: {problem['msg']}. {description}")
    return "\n  ".join(["this stack's configuration cannot be used:", *lines]) + "\nSet a key with `pulumi config set`."


def _field(key: str) -> str:
    return next((name for name in StackSettings.model_fields if key in (name, to_camel(name))), "tier")
