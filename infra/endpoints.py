"""The VPC endpoints that tasks need where there is no NAT, but S3's, which is a gateway and takes no address."""

from __future__ import annotations

from typing import Final

ALWAYS: Final = ("ecr.api", "ecr.dkr", "logs", "secretsmanager", "ecs", "ssmmessages")
"""What tasks call over HTTPS: images, logs, secrets, the autoscaler's own calls, ECS Exec."""
QUOTAS: Final = "servicequotas"
"""Not every region has one."""


def interfaces(*, quotas: bool) -> tuple[str, ...]:
    """AWS's services with an interface endpoint, which has an address in each zone.

    Args:
        quotas: whether Service Quotas has one in this region.
    """
    return (*ALWAYS, QUOTAS) if quotas else ALWAYS
