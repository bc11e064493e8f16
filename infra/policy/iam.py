"""Rules about who may do what. IAM ignores the case of actions, and takes `*` and `?` in actions and resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.policies import WITHOUT_RESOURCE
from infra.policy.seen import Seen, listed, statements

ATTACHMENTS: Final = frozenset(
    f"aws:iam/{kind[0].lower()}{kind[1:]}:{kind}"
    for kind in ("RolePolicyAttachment", "UserPolicyAttachment", "GroupPolicyAttachment", "PolicyAttachment")
)
DOCUMENTS: Final = frozenset(
    f"aws:iam/{kind[0].lower()}{kind[1:]}:{kind}" for kind in ("RolePolicy", "Policy", "UserPolicy", "GroupPolicy")
)
CONDITIONS: Final[Mapping[str, str]] = {"ecs:ListTasks": "ecs:cluster"}
"""What must narrow an action that is allowed on `*`."""


def permissions_are_narrow(seen: Seen) -> Iterator[str]:
    """No wildcard in what is allowed; actions that know no resources have a reason in `infra/policies.py`."""
    for arn in _attached(seen):
        if ":iam::aws:policy/" in arn:
            yield f"attaches {arn}, which is AWS's own and wide: allow what is needed by name"
    for statement in _allowing(seen):
        boundless = any(_is_boundless(resource) for resource in listed(statement.get("Resource")))
        for action in listed(statement.get("Action")):
            if _is_wild(action):
                yield f"allows {action}: name each action"
            elif boundless and action not in WITHOUT_RESOURCE:
                yield f"allows {action} on *: name resources, or give a reason in infra/policies.py"
            elif boundless and action in CONDITIONS and CONDITIONS[action] not in _equal(statement):
                yield f"allows {action} on * without the condition {CONDITIONS[action]}"
        if "NotAction" in statement or "NotResource" in statement:
            yield "allows all but something: name what is allowed"
    for statement in statements(seen.inputs.get("assumeRolePolicy")):
        if statement.get("Effect") == "Allow" and _anybody(statement):
            yield "may be taken by anybody: name who takes it"


def pass_role_is_scoped(seen: Seen) -> Iterator[str]:
    """Whoever may pass roles may pass named ones, to one service."""
    for statement in _allowing(seen):
        if "iam:passrole" not in [action.lower() for action in listed(statement.get("Action"))]:
            continue
        if any(_is_wild(resource) for resource in listed(statement.get("Resource"))):
            yield "may pass any role: name the roles"
        services = listed(_equal(statement).get("iam:PassedToService"))
        if not services or any(_is_wild(service) for service in services):
            yield "may pass roles to any service: add the condition iam:PassedToService (StringEquals)"


def _attached(seen: Seen) -> list[str]:
    if seen.type in ATTACHMENTS:
        return listed(seen.inputs.get("policyArn"))
    return listed(seen.inputs.get("managedPolicyArns")) if seen.type == "aws:iam/role:Role" else []


def _allowing(seen: Seen) -> Iterator[Mapping[str, Any]]:
    """Statements of what somebody may do."""
    documents = [seen.inputs.get("policy")] if seen.type in DOCUMENTS else []
    if seen.type == "aws:iam/role:Role":
        documents = [each.get("policy") for each in seen.inputs.get("inlinePolicies") or ()]
    for document in documents:
        yield from (each for each in statements(document) if each.get("Effect") == "Allow")


def _equal(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    """What must be equal to something for a statement to hold."""
    conditions = statement.get("Condition") or {}
    return {**conditions.get("ArnEquals", {}), **conditions.get("StringEquals", {})}


def _anybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    named = (
        [name for value in principal.values() for name in listed(value)]
        if isinstance(principal, Mapping)
        else [principal]
    )
    return any(name is None or _is_wild(str(name)) for name in named)


def _is_wild(text: str) -> bool:
    return "*" in text or "?" in text


def _is_boundless(resource: str) -> bool:
    """Whether it names nothing: its last part is wildcards alone."""
    return not resource.split(":", 5)[-1].strip("*?/")
