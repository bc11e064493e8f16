"""The rules, pure: a resource in, what is wrong with it out.

`__main__.py` gives them to Pulumi, tests give them to recorded programs.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from ipaddress import ip_network
from typing import Any, Final

from infra.policy.confidential import secrets_are_generated, secrets_are_references
from infra.policy.iam import pass_role_is_scoped, permissions_are_narrow
from infra.policy.seen import TIER_TAG, Seen, containers, statements

__all__ = ["RULES", "STACK_RULES", "Rule", "Seen", "StackRule", "taggable", "violations"]

NARROWEST_WORLD: Final = {4: 8, 6: 32}
"""By IP version, the shortest prefix of a network that is somebody's: a larger one is a good part of the world."""
REQUIRED_TAGS: Final = ("tidegate:project", "tidegate:stack", "tidegate:component", TIER_TAG)

ENCRYPTED: Final[Mapping[str, Sequence[str]]] = {
    "aws:elasticache/replicationGroup:ReplicationGroup": ("atRestEncryptionEnabled", "transitEncryptionEnabled"),
    "aws:efs/fileSystem:FileSystem": ("encrypted",),
    "aws:ebs/volume:Volume": ("encrypted",),
    "aws:rds/instance:Instance": ("storageEncrypted",),
    "aws:rds/cluster:Cluster": ("storageEncrypted",),
    "aws:docdb/cluster:Cluster": ("storageEncrypted",),
    "aws:neptune/cluster:Cluster": ("storageEncrypted",),
    "aws:redshift/cluster:Cluster": ("encrypted",),
}
"""By type, the inputs that must be true."""
BUCKETS: Final = frozenset({"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"})
BLOCKS: Final = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


Rule = Callable[[Seen], Iterator[str]]
StackRule = Callable[[Sequence[Seen]], Iterator[tuple[Seen, str]]]


def only_the_balancer_faces_the_world(resources: Sequence[Seen]) -> Iterator[tuple[Seen, str]]:
    """No ingress from the world but to the load balancer's own security group."""
    balancers = [each for each in resources if each.type == "aws:lb/loadBalancer:LoadBalancer"]
    own = frozenset[str]().union(*(each.depends.get("securityGroups", frozenset()) for each in balancers))
    for each in resources:
        if not _open_to_the_world(each):
            continue
        groups = each.depends.get("securityGroupId", frozenset())
        ports = (each.inputs.get("fromPort"), each.inputs.get("toPort"))
        if not groups or not groups <= own:
            yield (
                each,
                "lets the world in, and is no rule of the load balancer's security group: name a network or a group",
            )
        elif each.inputs.get("ipProtocol") != "tcp" or any(port not in (80, 443) for port in ports):
            yield each, "lets the world in at other ports than 80 and 443"


def _open_to_the_world(each: Seen) -> bool:
    """Whether an ingress rule names the world, or a list of networks that can hold anything."""
    inputs = each.inputs
    if each.type == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        return bool(inputs.get("prefixListId")) or _is_world([inputs.get("cidrIpv4"), inputs.get("cidrIpv6")])
    if each.type == "aws:ec2/securityGroupRule:SecurityGroupRule" and inputs.get("type") == "ingress":
        return bool(inputs.get("prefixListIds")) or _is_world(_networks(inputs))
    if each.type == "aws:ec2/securityGroup:SecurityGroup":
        rules = inputs.get("ingress") or ()
        return any(rule.get("prefixListIds") or _is_world(_networks(rule)) for rule in rules)
    return False


def _networks(rule: Mapping[str, Any]) -> Sequence[str | None]:
    return [*(rule.get("cidrBlocks") or ()), *(rule.get("ipv6CidrBlocks") or ())]


def _is_world(networks: Sequence[str | None]) -> bool:
    known = [ip_network(network, strict=False) for network in networks if network]
    return any(network.prefixlen < NARROWEST_WORLD[network.version] for network in known)


def buckets_are_encrypted_and_private(resources: Sequence[Seen]) -> Iterator[tuple[Seen, str]]:
    """Each bucket has an encryption, a public access block and a policy that lets nobody else in."""
    for bucket in resources:
        if bucket.type in BUCKETS:
            own = [each for each in resources if bucket.urn in each.depends.get("bucket", frozenset())]
            yield from ((bucket, problem) for problem in _bucket_problems(own))


def _bucket_problems(own: Sequence[Seen]) -> Iterator[str]:
    """What is wrong with a bucket that has these settings."""
    by_kind = {each.type.rpartition(":")[2]: each.inputs for each in own}
    encryption = by_kind.get("BucketServerSideEncryptionConfiguration", {})
    if not encryption.get("rules"):
        yield "has no default encryption"
    block = by_kind.get("BucketPublicAccessBlock", {})
    missing = [key for key in BLOCKS if block.get(key) is not True]
    if missing:
        yield f"has no public access block that sets {', '.join(missing)}"
    policy = by_kind.get("BucketPolicy")
    if policy is None:
        yield "has no policy that refuses plain HTTP"
    elif any(
        each.get("Effect") == "Allow" and "*" in str(each.get("Principal")) for each in statements(policy.get("policy"))
    ):
        yield "has a policy that lets anybody in"


def storage_is_encrypted(seen: Seen) -> Iterator[str]:
    """Whatever keeps data is encrypted, caches in transit too."""
    for key in ENCRYPTED.get(seen.type, ()):
        if seen.inputs.get(key) is not True:
            yield f"{key} is not true"
    if seen.type == "aws:ecr/repository:Repository" and not seen.inputs.get("encryptionConfigurations"):
        yield "has no encryptionConfigurations"
    if seen.type == "aws:elasticache/cluster:Cluster":
        yield "a cache without a replication group is not encrypted at rest: make a ReplicationGroup"


def logs_are_kept_for_a_time(seen: Seen) -> Iterator[str]:
    """Each log group has a retention."""
    if seen.type == "aws:cloudwatch/logGroup:LogGroup" and not seen.inputs.get("retentionInDays"):
        yield "has no retentionInDays: its logs would be kept, and paid for, for ever"
    for container in containers(seen):
        if ((container.get("logConfiguration") or {}).get("options") or {}).get("awslogs-create-group"):
            yield "awslogs-create-group makes a log group without retention: make it here"


def everything_is_tagged(seen: Seen) -> Iterator[str]:
    """Whatever can have tags says to whom it belongs."""
    missing = [tag for tag in REQUIRED_TAGS if not seen.tags.get(tag)]
    # What awsx makes has the tags that awsx gives it.
    if missing and "$awsx:" not in seen.urn.rpartition("$")[0] + "$" and taggable(seen.type):
        yield f"has no {', '.join(missing)}: make it a child of its component"


@cache
def taggable(token: str) -> bool:
    """Whether resources of a type have tags, by the arguments of its class."""
    package, _, rest = token.partition(":")
    module, _, name = rest.rpartition(":")
    if package != "aws":  # an image's tags are something else, and of awsx's components the engine shows no inputs
        return False
    wheel = importlib.import_module("pulumi_aws")
    kind = getattr(getattr(wheel, module.partition("/")[0], None), name, None)
    constructor = getattr(kind, "_internal_init", None)
    return constructor is not None and "tags" in inspect.signature(constructor).parameters


def tasks_have_no_public_address(seen: Seen) -> Iterator[str]:
    """Tasks are in private subnets."""
    if seen.type == "aws:ecs/service:Service":
        network = seen.inputs.get("networkConfiguration") or {}
        if network.get("assignPublicIp"):
            yield "assignPublicIp is true"
    for container in containers(seen):
        variables = {each.get("name"): each.get("value") for each in container.get("environment") or ()}
        if str(variables.get("WORKER_PUBLIC_IP", "")).lower() in ("true", "1", "yes"):
            yield "WORKER_PUBLIC_IP gives workers public addresses"


def data_outlives_a_mistake(seen: Seen) -> Iterator[str]:
    """In production nothing that holds data goes with the stack, but for caches, which leave a snapshot."""
    inputs = seen.inputs
    if not seen.production:
        return
    if seen.type == "aws:elasticache/replicationGroup:ReplicationGroup":
        if not inputs.get("finalSnapshotIdentifier"):
            yield "has no finalSnapshotIdentifier"
        if not inputs.get("snapshotRetentionLimit"):
            yield "has no snapshotRetentionLimit"
    elif seen.type in ("aws:rds/instance:Instance", "aws:rds/cluster:Cluster"):
        if inputs.get("skipFinalSnapshot"):
            yield "skipFinalSnapshot is true"
    elif seen.type in (*BUCKETS, "aws:ecr/repository:Repository"):
        if inputs.get("forceDestroy") or inputs.get("forceDelete"):
            yield "is deleted with all that it holds"
    elif seen.type == "aws:efs/fileSystem:FileSystem" and not seen.protect:
        yield "is not protected"


RULES: Final[Mapping[str, Rule]] = {
    "storage-is-encrypted": storage_is_encrypted,
    "permissions-are-narrow": permissions_are_narrow,
    "pass-role-is-scoped": pass_role_is_scoped,
    "secrets-are-references": secrets_are_references,
    "logs-are-kept-for-a-time": logs_are_kept_for_a_time,
    "everything-is-tagged": everything_is_tagged,
    "tasks-have-no-public-address": tasks_have_no_public_address,
    "data-outlives-a-mistake": data_outlives_a_mistake,
}
"""About one resource."""

STACK_RULES: Final[Mapping[str, StackRule]] = {
    "only-the-balancer-faces-the-world": only_the_balancer_faces_the_world,
    "buckets-are-encrypted-and-private": buckets_are_encrypted_and_private,
    "secrets-are-generated": secrets_are_generated,
}
"""About several together."""


def violations(resources: Sequence[Seen]) -> list[str]:
    """What is wrong with a whole stack, a line each: rule, resource, message."""
    found = [
        f"{name}: {each.type} {each.name}: {message}"
        for each in resources
        for name, rule in RULES.items()
        for message in rule(each)
    ]
    for name, stack_rule in STACK_RULES.items():
        found += [f"{name}: {each.type} {each.name}: {message}" for each, message in stack_rule(resources)]
    return found
