"""What AWS charges: each price that a document, a calculation or the bench's simulator uses, in dollars.

List prices of us-east-1, without taxes, free tiers, savings plans and reserved nodes. They change: look them up, change
them here, and run `make docs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DATE: Final = "November 2025"
REGION: Final = "us-east-1"
HOURS: Final = 730
"""Of a month."""


@dataclass(frozen=True, slots=True)
class Fargate:
    """A Linux task on demand, per hour: https://aws.amazon.com/fargate/pricing/.

    Attributes:
        vcpu: one vCPU.
        gb: one GB of memory.
    """

    vcpu: float
    gb: float


FARGATE: Final[Mapping[str, Fargate]] = {
    "linux/amd64": Fargate(vcpu=0.04048, gb=0.004445),
    "linux/arm64": Fargate(vcpu=0.03238, gb=0.00356),
}
SPOT_SHARE: Final = 0.30
"""What Spot costs of that. AWS says "up to 70 % off", and it moves."""
DISK_GB_HOUR: Final = 0.000111
"""Of a task's disk, beyond what is free."""
DISK_FREE_GB: Final = 20

# https://aws.amazon.com/vpc/pricing/
NAT_HOUR: Final = 0.045
NAT_GB: Final = 0.045
ADDRESS_HOUR: Final = 0.005
"""A public IPv4 address."""
ENDPOINT_HOUR: Final = 0.01
"""An interface endpoint in one zone."""

# https://aws.amazon.com/elasticloadbalancing/pricing/
BALANCER_HOUR: Final = 0.0225
BALANCER_UNIT_HOUR: Final = 0.008
"""A load balancer capacity unit: 25 new connections a second, 3,000 open ones, or 1 GB an hour."""

# https://aws.amazon.com/elasticache/pricing/
REDIS_HOUR: Final[Mapping[str, float]] = {
    "cache.t4g.micro": 0.016,
    "cache.t4g.small": 0.032,
    "cache.t4g.medium": 0.065,
    "cache.m7g.large": 0.158,
    "cache.r7g.large": 0.219,
    "cache.r7g.xlarge": 0.437,
    "cache.r7g.2xlarge": 0.873,
}
"""A node with Redis OSS."""
VALKEY_SHARE: Final = 0.80
"""What a node with Valkey costs of that."""

# https://aws.amazon.com/cloudwatch/pricing/
METRIC_MONTH: Final = 0.30
ALARM_MONTH: Final = 0.10
DASHBOARD_MONTH: Final = 3.00
LOG_GB: Final = 0.50
INSIGHTS: Final[Mapping[str, int]] = {"cluster": 13, "service": 15, "family": 10}
"""Metrics that Container Insights writes for each; each costs what one's own costs."""

SECRET_MONTH: Final = 0.40
"""https://aws.amazon.com/secrets-manager/pricing/"""
ZONE_MONTH: Final = 0.50
"""A DNS zone: https://aws.amazon.com/route53/pricing/"""
REGISTRATION_MONTH: Final = 0.10
"""A task in Cloud Map: https://aws.amazon.com/cloud-map/pricing/"""
IMAGE_GB_MONTH: Final = 0.10
"""https://aws.amazon.com/ecr/pricing/"""
OBJECT_GB_MONTH: Final = 0.023
"""https://aws.amazon.com/s3/pricing/"""
FILE_GB_MONTH: Final = 0.30
"""https://aws.amazon.com/efs/pricing/"""
TRAFFIC_GB: Final = 0.09
"""To the internet: https://aws.amazon.com/ec2/pricing/on-demand/"""


def fargate_hour(platform: str, cpu: int, memory: int, disk: int = DISK_FREE_GB) -> float:
    """A task on demand for an hour.

    Args:
        platform: as the setting has it, such as `linux/amd64`.
        cpu: CPU units.
        memory: MiB.
        disk: GiB.
    """
    price = FARGATE[platform]
    return cpu / 1024 * price.vcpu + memory / 1024 * price.gb + max(0, disk - DISK_FREE_GB) * DISK_GB_HOUR


def cache_hour(engine: str, node_type: str) -> float | None:
    """A cache node for an hour; None for a type whose price is not known here."""
    price = REDIS_HOUR.get(node_type)
    return price and price * (VALKEY_SHARE if engine == "valkey" else 1)
