"""ElastiCache: one Valkey or Redis OSS group, without cluster mode, that keeps queue, records and results."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra import ports
from infra.components.base import Component, Place
from infra.components.network import Network
from infra.components.secret import keep

ENGINES = {"valkey": ("8.0", "valkey8"), "redis": ("7.1", "redis7")}
"""Version and parameter group family of each engine."""
TOKEN_LENGTH = 64
RESERVED_PERCENT = "25"
"""Of the memory, for snapshots and failover; what is left is `maxmemory`."""


class Cache(Component):
    """The replication group, with its password.

    Attributes:
        url: of the primary, as `REDIS_URL` takes it.
        token_arn: ARN of the secret that holds the AUTH token.
        group_id: id of the replication group.
        nodes: number of its nodes, each a cluster `{group_id}-001`, `-002` …
        ready: what must be there before somebody asks for it: group and secret's value.
    """

    def __init__(self, place: Place, network: Network, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("cache", place, opts)
        self.nodes = 1 + (place.settings.cache_replicas or 0)
        token = random.RandomPassword(
            place.names.logical("cache-token"),
            length=TOKEN_LENGTH,
            special=False,  # AUTH tokens take few of them
            opts=self.child(),
        )
        secret = keep(self, "cache-auth", "AUTH token of the cache", token.result)
        group = self._group(network, token)
        self.url = pulumi.Output.concat("rediss://", group.primary_endpoint_address, f":{ports.CACHE}/0")
        self.token_arn = secret.arn
        self.group_id = group.id
        self.ready: list[pulumi.Resource] = [group, secret.version]
        self.register_outputs({"url": self.url})

    def _group(self, network: Network, token: random.RandomPassword) -> aws.elasticache.ReplicationGroup:
        settings, names = self.place.settings, self.place.names
        version, family = ENGINES[settings.cache_engine]
        name = names.logical("cache", "cache")
        parameters = aws.elasticache.ParameterGroup(
            name,
            family=family,
            description="Tidegate: results may be evicted, tasks that somebody waits for have no TTL",
            parameters=[
                aws.elasticache.ParameterGroupParameterArgs(name="maxmemory-policy", value="volatile-lru"),
                aws.elasticache.ParameterGroupParameterArgs(name="reserved-memory-percent", value=RESERVED_PERCENT),
            ],
            opts=self.child(),
        )
        subnets = aws.elasticache.SubnetGroup(
            name, subnet_ids=network.private_subnet_ids, description="Tidegate", opts=self.child()
        )
        return aws.elasticache.ReplicationGroup(
            name,
            description="Tidegate: queue, records and results",
            engine=settings.cache_engine,
            engine_version=version,
            node_type=settings.cache_node_type,
            num_cache_clusters=self.nodes,
            automatic_failover_enabled=self.nodes > 1,
            multi_az_enabled=self.nodes > 1,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[network.groups.cache.id],
            port=ports.CACHE,
            auth_token=token.result,
            auth_token_update_strategy="ROTATE",  # noqa: S106
            transit_encryption_enabled=True,
            at_rest_encryption_enabled=True,
            # AWS would go from 8.0 to 8.1 by itself, and the provider takes the 8.0 here for a downgrade then, which it
            # carries out by a new, empty group. Versions rise in `ENGINES`, in place; patches come as service updates.
            auto_minor_version_upgrade=False,
            snapshot_retention_limit=settings.cache_snapshot_days,
            final_snapshot_identifier=self._last_snapshot(version, subnets) if settings.production else None,
            apply_immediately=not settings.production,
            opts=self.child(),
        )

    def _last_snapshot(self, version: str, subnets: aws.elasticache.SubnetGroup) -> pulumi.Output[str]:
        """Name of what the group leaves when it is deleted, of this group's own.

        AWS refuses to delete a group whose last snapshot has the name of one that exists: that of a stack of the same
        name that was destroyed before, or of the group that this one has replaced.
        """
        names = self.place.names
        suffix = random.RandomId(
            names.logical("cache-final"),
            byte_length=4,
            # With what replaces the group, so that each has its own.
            keepers={
                "engine": str(self.place.settings.cache_engine),
                "version": version,
                "subnets": subnets.name,
                "port": str(ports.CACHE),
            },
            opts=self.child(),
        )

        def name(known: object) -> str:
            return f"{names.prefix}-final-{known if isinstance(known, str) else 'new'}"

        # With a value in previews too, though not the last one: the policy pack sees nothing of what is unknown, and
        # would refuse a production cache without a last snapshot.
        return suffix.hex.apply(name, run_with_unknowns=True)
