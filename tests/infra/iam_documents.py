"""Where IAM documents hide in a recorded graph, and how long they may be."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from tests.infra.graph import Graph
from tests.infra.wire import UNKNOWN


class Kind(StrEnum):
    """What a document is for, which decides on its form."""

    IDENTITY = "identity"
    """What a role may do."""
    TRUST = "trust"
    """Who may take a role."""
    RESOURCE = "resource"
    """Who may do what with a resource."""
    REPOSITORY = "repository"
    """The same of an image repository, which is not named in it."""
    LIFECYCLE = "lifecycle"
    """When an image repository deletes images; no document of IAM."""


class Found(NamedTuple):
    """A document that a resource has as input.

    Attributes:
        where: it is, for messages.
        document: JSON, or a mapping of the same form.
        kind: what it is for.
        limit: most characters that AWS takes, without white space.
    """

    where: str
    document: Any
    kind: Kind
    limit: int


ROLE_MAX = 10_240
"""Characters of all inline policies of a role together."""

_PLACES: Mapping[str, Sequence[tuple[str, Kind, int]]] = {
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": [("policyDocument", Kind.RESOURCE, 5_120)],
    "aws:ec2/vpcEndpoint:VpcEndpoint": [("policy", Kind.RESOURCE, 20_480)],
    "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy": [("policy", Kind.RESOURCE, 20_480)],
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": [("policy", Kind.LIFECYCLE, 30_720)],
    "aws:ecr/repositoryPolicy:RepositoryPolicy": [("policy", Kind.REPOSITORY, 10_240)],
    "aws:efs/fileSystemPolicy:FileSystemPolicy": [("policy", Kind.RESOURCE, 20_000)],
    "aws:iam/policy:Policy": [("policy", Kind.IDENTITY, 6_144)],
    "aws:iam/role:Role": [("assumeRolePolicy", Kind.TRUST, 2_048)],
    "aws:iam/rolePolicy:RolePolicy": [("policy", Kind.IDENTITY, ROLE_MAX)],
    "aws:kms/key:Key": [("policy", Kind.RESOURCE, 32_768)],
    "aws:kms/keyPolicy:KeyPolicy": [("policy", Kind.RESOURCE, 32_768)],
    "aws:s3/bucketPolicy:BucketPolicy": [("policy", Kind.RESOURCE, 20_480)],
    "aws:secretsmanager/secret:Secret": [("policy", Kind.RESOURCE, 20_480)],
    "aws:secretsmanager/secretPolicy:SecretPolicy": [("policy", Kind.RESOURCE, 20_480)],
    "aws:sns/topic:Topic": [("policy", Kind.RESOURCE, 30_720)],
    "aws:sns/topicPolicy:TopicPolicy": [("policy", Kind.RESOURCE, 30_720)],
    "aws:sqs/queuePolicy:QueuePolicy": [("policy", Kind.RESOURCE, 262_144)],
}
"""Where documents hide: type of the resource, its input, what it is and how long it may be."""


def documents(graph: Graph) -> Iterator[Found]:
    """Every document in the inputs of resources; those that a preview does not know yet are left out."""
    for resource in graph.resources:
        for key, kind, limit in _PLACES.get(resource.type, ()):
            document = resource.inputs.get(key)
            if document is not None and document is not UNKNOWN:
                yield Found(f"{resource.where} {key}", document, kind, limit)
        if resource.type == "aws:iam/role:Role":
            for inline in resource.inputs.get("inlinePolicies") or ():
                yield Found(f"{resource.where} inlinePolicies", inline["policy"], Kind.IDENTITY, ROLE_MAX)


def sizes(graph: Graph) -> list[str]:
    """Roles whose inline policies are too long together."""
    totals: dict[str, int] = defaultdict(int)
    for resource in graph.of("aws:iam/rolePolicy:RolePolicy"):
        role, document = resource.inputs.get("role"), resource.inputs.get("policy")
        if isinstance(role, str) and document is not UNKNOWN:
            totals[role] += length(document)
    return [
        f"role {role!r}: its inline policies have {total} characters together, of {ROLE_MAX}"
        for role, total in sorted(totals.items())
        if total > ROLE_MAX
    ]


def length(document: Any) -> int:
    """Characters of a document as AWS counts them: without white space."""
    text = document if isinstance(document, str) else json.dumps(document)
    return len(re.sub(r"\s", "", text))
