"""What the services are told about each other: environment and secrets of their containers, each name in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from infra import ports
from infra.components.base import Place


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all services share.

    Attributes:
        place: the stack.
        redis_url: of the cache.
        redis_token: ARN of the secret with its password.
        scheduler_host: name that resolves to the scheduler.
        object_store: URL of the bucket of large results.
        certificates: ARNs of the secrets of Dask's TLS, by variable; empty without TLS.
        ready: what must be there before a service starts.
    """

    place: Place
    redis_url: pulumi.Output[str]
    redis_token: pulumi.Output[str]
    scheduler_host: pulumi.Output[str]
    object_store: pulumi.Output[str]
    certificates: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    ready: tuple[pulumi.Resource, ...] = ()

    @property
    def scheme(self) -> str:
        """Of Dask's addresses."""
        return "tls" if self.certificates else "tcp"

    @property
    def scheduler_name(self) -> pulumi.Output[str]:
        """The scheduler's address by name: always leads to the present one."""
        return pulumi.Output.concat(f"{self.scheme}://", self.scheduler_host, f":{ports.SCHEDULER}")

    def common(self) -> dict[str, pulumi.Input[str]]:
        """Variables of every service."""
        return {
            "LOG_FORMAT": "json",
            "COMPUTE_MODULES": self.place.settings.compute_modules,
            # ECS sets AWS_REGION, and boto3 reads only this one.
            "AWS_DEFAULT_REGION": self.place.region,
        }

    def store(self) -> dict[str, pulumi.Input[str]]:
        """Variables of whoever uses Redis."""
        return {"REDIS_URL": self.redis_url, "REDIS_PREFIX": self.place.names.prefix}

    def metrics(self) -> dict[str, pulumi.Input[str]]:
        """Variables of whoever writes metrics as log lines."""
        return {"METRICS_EMF": "true", "METRICS_STACK": self.place.names.prefix}

    def secrets(self, *, redis: bool = True) -> dict[str, pulumi.Input[str]]:
        """Secrets of a service, with the cache's password or without."""
        return {**self.certificates, **({"REDIS_PASSWORD": self.redis_token} if redis else {})}
