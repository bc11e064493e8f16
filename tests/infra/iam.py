"""IAM documents against AWS's published tables: actions that exist, on resources and under conditions that they know.

IAM itself takes most of what is wrong here and then allows nothing: a misspelt condition key never holds, an action on
an ARN of another kind never happens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tests.infra import iam_tables, lifecycle
from tests.infra.iam_documents import Found, Kind, documents, length, sizes

__all__ = ["Found", "Kind", "documents", "problems", "sizes"]


SERVICES = frozenset(
    [
        "application-autoscaling",
        "cloudwatch",
        "delivery.logs",
        "ecs",
        "ecs-tasks",
        "elasticfilesystem",
        "elasticloadbalancing",
        "events",
        "lambda",
        "logdelivery.elasticloadbalancing",
        "logs",
        "scheduler",
        "sns",
        "spotfleet",
        "vpc-flow-logs",
    ]
)
"""Services that may be principals, without `.amazonaws.com`: IAM refuses one that it does not know."""

_VERSION = "2012-10-17"
_MEMBERS = frozenset(
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"]
)
_OPERATORS = re.compile(
    r"(ForAllValues:|ForAnyValue:)?((?P<family>String|Arn)(Not)?(Equals|Like)|String(Not)?EqualsIgnoreCase|Bool|"
    r"(Numeric|Date)((Not)?Equals|(LessThan|GreaterThan)(Equals)?)|(Not)?IpAddress|BinaryEquals)(IfExists)?|Null"
)
_TAKES = {"Bool": ("Bool",), "Numeric": ("Numeric",), "Date": ("Date",), "IPAddress": ("IpAddress", "NotIpAddress")}
_TRUSTED = ("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity", "sts:TagSession")


def problems(
    document: Any,
    *,
    where: str,
    kind: Kind = Kind.IDENTITY,
    limit: int | None = None,
    wildcards: Collection[str] = (),
    reasons: Mapping[str, str] | None = None,
) -> list[str]:
    """What is wrong with a document.

    Args:
        document: JSON, or a mapping of the same form.
        where: it is, for messages.
        kind: what it is for.
        limit: most characters that AWS takes, without white space.
        wildcards: patterns of actions that may be allowed, such as `s3:Get*`; denying needs no leave.
        reasons: why an action is allowed on `*` although it knows resources, by action.
    """
    try:
        parsed = json.loads(document) if isinstance(document, str) else document
    except ValueError as error:
        return [f"{where}: no JSON: {error}"]
    if not isinstance(parsed, Mapping):
        return [f"{where}: {type(parsed).__name__} in the place of a document"]
    if kind is Kind.LIFECYCLE:
        wrong = list(lifecycle.problems(parsed))
    else:
        checker = _Checker(
            kind, frozenset(wildcards), {key: why for key, why in (reasons or {}).items() if why.strip()}
        )
        wrong = list(checker.document(parsed))
    if limit is not None and length(document) > limit:
        wrong.append(f"{length(document)} characters, of {limit}")
    return [f"{where}: {problem}" for problem in wrong]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class _Checker:
    """One document under one set of permissions to be wide."""

    def __init__(self, kind: Kind, wildcards: frozenset[str], reasons: Mapping[str, str]) -> None:
        self._kind = kind
        self._wildcards = wildcards
        self._reasons = reasons

    def document(self, document: Mapping[str, Any]) -> Iterator[str]:
        if document.get("Version") != _VERSION:
            yield f"Version is {document.get('Version')!r}, not {_VERSION!r}"
        for key in sorted(set(document) - {"Version", "Id", "Statement"}):
            yield f"{key} is no element of a document"
        statements = _listed(document.get("Statement") or [])
        if not statements:
            yield "it has no Statement"
        sids = [statement["Sid"] for statement in statements if "Sid" in statement]
        for sid in sorted({sid for sid in sids if sids.count(sid) > 1}):
            yield f"Sid {sid!r} is there more than once"
        for index, statement in enumerate(statements):
            name = statement.get("Sid", f"statement {index}")
            yield from (f"{name}: {problem}" for problem in self._statement(statement))

    def _statement(self, statement: Mapping[str, Any]) -> Iterator[str]:
        for key in sorted(set(statement) - _MEMBERS):
            yield f"{key} is no element of a statement"
        effect = statement.get("Effect")
        if effect not in ("Allow", "Deny"):
            yield f"Effect is {effect!r}, not 'Allow' or 'Deny'"
        if not re.fullmatch(r"[A-Za-z0-9]*", statement.get("Sid", "")):
            yield "Sid has other characters than letters and digits"
        for key in ("NotAction", "NotResource", "NotPrincipal"):
            if key in statement and effect == "Allow":
                yield f"{key} allows all but something: name what is allowed"
        yield from self._principals(statement)
        actions: list[str] = []
        for pattern in _listed(statement.get("Action", statement.get("NotAction", []))):
            wrong = self._action(pattern, effect)
            actions += iam_tables.actions(pattern) if isinstance(pattern, str) else ()
            yield from [wrong] if wrong else []
        if not {"Action", "NotAction"} & set(statement):
            yield "Action is missing"
        yield from self._resources(statement, actions)
        yield from self._conditions(statement.get("Condition", {}), actions, effect)

    def _principals(self, statement: Mapping[str, Any]) -> Iterator[str]:
        has = bool({"Principal", "NotPrincipal"} & set(statement))
        if has == (self._kind is Kind.IDENTITY):
            yield "Principal is there: a role's policy has none" if has else "Principal is missing"
        principal = statement.get("Principal")
        if principal is None or principal == "*":
            if principal == "*" and self._kind is Kind.TRUST:
                yield "Principal is *: anybody could take the role"
            return
        if not isinstance(principal, Mapping):
            yield f"Principal is {principal!r}: give {{'Service': …}} or {{'AWS': …}}"
            return
        for key in sorted(set(principal) - {"AWS", "Service", "Federated", "CanonicalUser"}):
            yield f"Principal has {key}, which is no kind of principal"
        for service in _listed(principal.get("Service", [])):
            if str(service).removesuffix(".amazonaws.com") not in SERVICES or not str(service).endswith(
                ".amazonaws.com"
            ):
                yield f"Principal {service!r} is not known: correct it, or add it to SERVICES in tests/infra/iam.py"
        for account in _listed(principal.get("AWS", [])):
            if not re.fullmatch(r"\*|\d{12}|arn:aws[a-z-]*:(iam|sts)::\d{12}:.+", str(account)):
                yield f"Principal {account!r} is no account and no ARN of IAM"
            if account == "*" and self._kind is Kind.TRUST:
                yield "Principal is *: anybody could take the role"

    def _action(self, pattern: Any, effect: Any) -> str | None:
        known = iam_tables.actions(pattern) if isinstance(pattern, str) else ()
        if not known and pattern != "*":
            return f"action {pattern!r} does not exist"
        if "*" in pattern or "?" in pattern:
            if effect == "Allow" and pattern not in self._wildcards:
                return f"action {pattern!r} has a wildcard: name the actions"
        elif pattern != known[0]:
            return f"action {pattern!r} is written {known[0]!r}"
        if self._kind is Kind.TRUST and pattern not in _TRUSTED:
            return f"action {pattern!r} is none of taking a role"
        return None

    def _resources(self, statement: Mapping[str, Any], actions: Sequence[str]) -> Iterator[str]:
        resources = _listed(statement.get("Resource", statement.get("NotResource", [])))
        if self._kind in (Kind.TRUST, Kind.REPOSITORY):
            if resources:
                yield "Resource is there: the document is about the resource that has it"
            return
        if not resources:
            yield "Resource is missing"
        arns = [resource for resource in resources if resource != "*"]
        for arn in arns:
            if not isinstance(arn, str) or not re.fullmatch(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", arn):
                yield f"resource {arn!r} is no ARN"
            elif actions and not any(_fits(action, arn) for action in actions):
                kinds = sorted({kind for action in actions for kind in iam_tables.resource_types(action)})
                yield f"resource {arn!r} is none that {_few(actions)} knows; that would be {', '.join(kinds) or '*'}"
        if len(arns) < len(resources):
            yield from self._anything(statement.get("Effect"), actions)
        elif statement.get("Effect") == "Allow":
            yield from self._nothing(statement, arns)

    def _anything(self, effect: Any, actions: Sequence[str]) -> Iterator[str]:
        for action in actions if effect == "Allow" else ():
            if not iam_tables.resource_types(action) or action in self._reasons:
                continue
            if self._kind is Kind.RESOURCE and not action.startswith("s3:"):
                continue  # it means the resource that has the policy; S3 wants to be told
            kinds = ", ".join(sorted(iam_tables.resource_types(action)))
            yield f"{action} is allowed on *, and knows resources ({kinds}): name them, or give a reason"

    def _nothing(self, statement: Mapping[str, Any], arns: Sequence[Any]) -> Iterator[str]:
        """Actions that are allowed on nothing, since none of the resources is of their kind."""
        for pattern in _listed(statement.get("Action", [])):
            actions = iam_tables.actions(pattern) if isinstance(pattern, str) else ()
            if not actions or any(_fits(action, str(arn)) for action in actions for arn in arns):
                continue
            kinds = sorted({kind for action in actions for kind in iam_tables.resource_types(action)})
            cure = f"name {', '.join(kinds)}" if kinds else "it knows no resources, allow it on *"
            yield f"{pattern} is allowed on none of these resources: {cure}"

    def _conditions(self, conditions: Any, actions: Sequence[str], effect: Any) -> Iterator[str]:
        if not isinstance(conditions, Mapping):
            yield "Condition is no mapping"
            return
        for operator, tests in conditions.items():
            if not _OPERATORS.fullmatch(operator):
                yield f"condition operator {operator!r} does not exist"
                continue
            for key, values in tests.items():
                yield from self._condition(operator, key, values, actions, effect)

    def _condition(self, operator: str, key: str, values: Any, actions: Sequence[str], effect: Any) -> Iterator[str]:
        unknown = [action for action in actions if not iam_tables.knows_key(action, key)]
        # What is denied by a wildcard need not know the key, as long as something does.
        if unknown and (effect == "Allow" or len(unknown) == len(actions)):
            yield f"condition key {key!r} is none that {_few(unknown)} knows"
        if not _listed(values) or not all(isinstance(value, str | bool | int | float) for value in _listed(values)):
            yield f"condition {operator} {key} has {values!r}: give strings"
        kind = iam_tables.key_type(key)
        plain = re.sub(r"^For(All|Any)Values?s?:|IfExists$", "", operator)
        allowed = _TAKES.get(kind or "", ())
        if allowed and plain != "Null" and not plain.startswith(allowed):
            yield f"condition {operator} is not for {key}, which is {kind}"
        if kind == "String" and plain.startswith(("Arn", "Bool", "Numeric", "Date")):
            yield f"condition {operator} is not for {key}, which is {kind}"
        if kind and kind.startswith("ArrayOf") and not operator.startswith(("ForAllValues:", "ForAnyValue:", "Null")):
            yield f"condition {operator} {key}: the key has several values, say ForAnyValue: or ForAllValues:"


def _fits(action: str, arn: str) -> bool:
    return any(iam_tables.fits(arn, template) for template in iam_tables.resource_types(action).values())


def _few(actions: Sequence[str]) -> str:
    return ", ".join(actions[:3]) + (f" and {len(actions) - 3} more" if len(actions) > 3 else "")
