"""The rules, pure: a resource in, what is wrong with it out.

`__main__.py` gives them to Pulumi, tests give them to recorded programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from infra.policies import WITHOUT_RESOURCE

WORLD: Final = frozenset({"0.0.0.0/0", "::/0"})
TIER_TAG: Final = "tidegate:tier"
REQUIRED_TAGS: Final = ("tidegate:project", "tidegate:stack", "tidegate:component", TIER_TAG)

TAGGED: Final = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:appautoscaling/target:Target",
        "aws:cloudwatch/logGroup:LogGroup",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ecr/repository:Repository",
        "aws:ecs/cluster:Cluster",
        "aws:ecs/service:Service",
        "aws:ecs/taskDefinition:TaskDefinition",
        "aws:efs/accessPoint:AccessPoint",
        "aws:efs/fileSystem:FileSystem",
        "aws:elasticache/parameterGroup:ParameterGroup",
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:elasticache/subnetGroup:SubnetGroup",
        "aws:iam/role:Role",
        "aws:lb/listener:Listener",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:s3/bucket:Bucket",
        "aws:secretsmanager/secret:Secret",
        "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace",
        "aws:servicediscovery/service:Service",
        "aws:sns/topic:Topic",
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "awsx:ec2:Vpc",
    }
)
"""Types that can have tags, of those that this program uses."""

MAY_HOLD_SECRETS: Final = frozenset({"secretString", "authToken", "privateKeyPem", "caPrivateKeyPem", "result"})
"""Inputs that are there for secrets; Pulumi encrypts them in its state."""

_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|ADMIN_KEY|PRIVATE_KEY|TLS_KEY|CREDENTIAL", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource as a rule sees it.

    Attributes:
        urn: by which others depend on it.
        type: token.
        name: logical name.
        inputs: by their names in the schema, without those that are not known yet.
        protect: whether Pulumi refuses to delete it.
        depends: URNs of the resources that each input depends on.
    """

    urn: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    protect: bool = False
    depends: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def production(self) -> bool:
        """Whether its stack is one that others depend on."""
        return (self.inputs.get("tags") or {}).get(TIER_TAG) == "production"


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
    inputs = each.inputs
    if each.type == "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":
        return bool({inputs.get("cidrIpv4"), inputs.get("cidrIpv6")} & WORLD)
    if each.type == "aws:ec2/securityGroupRule:SecurityGroupRule" and inputs.get("type") == "ingress":
        return bool({*(inputs.get("cidrBlocks") or ()), *(inputs.get("ipv6CidrBlocks") or ())} & WORLD)
    if each.type == "aws:ec2/securityGroup:SecurityGroup":
        rules = inputs.get("ingress") or ()
        return any({*(r.get("cidrBlocks") or ()), *(r.get("ipv6CidrBlocks") or ())} & WORLD for r in rules)
    return False


def buckets_are_encrypted_and_private(resources: Sequence[Seen]) -> Iterator[tuple[Seen, str]]:
    """Each bucket has an encryption, a public access block and a policy that refuses plain HTTP."""
    wanted = {
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "default encryption",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "public access block",
        "aws:s3/bucketPolicy:BucketPolicy": "policy that refuses plain HTTP",
    }
    for bucket in resources:
        if bucket.type != "aws:s3/bucket:Bucket":
            continue
        having = {each.type for each in resources if bucket.urn in each.depends.get("bucket", frozenset())}
        for kind, what in wanted.items():
            if kind not in having:
                yield bucket, f"has no {what}"


def storage_is_encrypted(seen: Seen) -> Iterator[str]:
    """Caches, file systems and image repositories are encrypted, caches in transit too."""
    inputs = seen.inputs
    if seen.type == "aws:elasticache/replicationGroup:ReplicationGroup":
        for key in ("atRestEncryptionEnabled", "transitEncryptionEnabled"):
            if inputs.get(key) is not True:
                yield f"{key} is not true"
    elif seen.type == "aws:efs/fileSystem:FileSystem" and inputs.get("encrypted") is not True:
        yield "encrypted is not true"
    elif seen.type == "aws:ecr/repository:Repository" and not inputs.get("encryptionConfigurations"):
        yield "has no encryptionConfigurations"


def permissions_are_narrow(seen: Seen) -> Iterator[str]:
    """No wildcard in what is allowed; actions that know no resources have a reason in `infra/policies.py`."""
    for statement in _allowing(seen):
        actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
        for action in actions:
            if "*" in action:
                yield f"allows {action}: name each action"
            elif "*" in resources and action not in WITHOUT_RESOURCE:
                yield f"allows {action} on *: name resources, or give a reason in infra/policies.py"
        if "NotAction" in statement or "NotResource" in statement:
            yield "allows all but something: name what is allowed"


def pass_role_is_scoped(seen: Seen) -> Iterator[str]:
    """Whoever may pass roles may pass named ones, to one service."""
    for statement in _allowing(seen):
        if "iam:PassRole" not in _listed(statement.get("Action")):
            continue
        if any("*" in resource for resource in _listed(statement.get("Resource"))):
            yield "may pass any role: name the roles"
        conditions = statement.get("Condition") or {}
        if not any("iam:PassedToService" in keys for keys in conditions.values()):
            yield "may pass roles to any service: add the condition iam:PassedToService"


def _allowing(seen: Seen) -> Iterator[Mapping[str, Any]]:
    """Statements of what a role may do."""
    if seen.type in ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"):
        policy = seen.inputs.get("policy")
        document = json.loads(policy) if isinstance(policy, str) else policy or {}
        yield from (each for each in _statements(document) if each.get("Effect") == "Allow")


def _statements(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = document.get("Statement") or []
    return [found] if isinstance(found, Mapping) else found


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def secrets_are_references(seen: Seen) -> Iterator[str]:
    """No secret in what Pulumi keeps in the clear: variables of containers, or keys anywhere."""
    for path, text in _strings(seen.inputs):
        if path[0] not in MAY_HOLD_SECRETS and _SECRET_VALUE.search(text):
            yield f"{'.'.join(path)} holds a key: keep it in Secrets Manager"
    for container in _containers(seen):
        for variable in container.get("environment") or ():
            if _SECRET_NAME.search(str(variable.get("name"))):
                yield f"the variable {variable['name']} is in the clear: give it by the container's `secrets`"


def _strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path or ("",), value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, (*path, str(key)))
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from _strings(inner, (*path, str(number)))


def _containers(seen: Seen) -> Sequence[Mapping[str, Any]]:
    definitions = seen.inputs.get("containerDefinitions")
    if seen.type != "aws:ecs/taskDefinition:TaskDefinition" or not isinstance(definitions, str):
        return []
    found: list[Mapping[str, Any]] = json.loads(definitions)
    return found


def logs_are_kept_for_a_time(seen: Seen) -> Iterator[str]:
    """Each log group has a retention."""
    if seen.type == "aws:cloudwatch/logGroup:LogGroup" and not seen.inputs.get("retentionInDays"):
        yield "has no retentionInDays: its logs would be kept, and paid for, for ever"


def everything_is_tagged(seen: Seen) -> Iterator[str]:
    """Whatever can have tags says to whom it belongs."""
    missing = [tag for tag in REQUIRED_TAGS if not (seen.inputs.get("tags") or {}).get(tag)]
    if seen.type in TAGGED and missing:
        yield f"has no {', '.join(missing)}: make it a child of its component"


def tasks_have_no_public_address(seen: Seen) -> Iterator[str]:
    """Tasks are in private subnets."""
    if seen.type == "aws:ecs/service:Service":
        network = seen.inputs.get("networkConfiguration") or {}
        if network.get("assignPublicIp"):
            yield "assignPublicIp is true"
    for container in _containers(seen):
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
    elif seen.type in ("aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"):
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
