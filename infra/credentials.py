"""As whom Pulumi works on AWS, by the stack's configuration: it does not reach dynamic resources, which get it told.

What the AWS provider knows and they cannot be told is refused: they would work as somebody else, in another account at
worst. What comes by the environment needs nothing: they have the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.settings import ConfigError

_UNTELLABLE: Final[Mapping[str, str]] = {
    "aws:accessKey": "set AWS_ACCESS_KEY_ID in the environment, or name an aws:profile",
    "aws:secretKey": "set AWS_SECRET_ACCESS_KEY in the environment, or name an aws:profile",
    "aws:token": "set AWS_SESSION_TOKEN in the environment, or name an aws:profile",
    "aws:sharedConfigFiles": "set AWS_CONFIG_FILE in the environment",
    "aws:sharedCredentialsFiles": "set AWS_SHARED_CREDENTIALS_FILE in the environment",
    "aws:assumeRoleWithWebIdentity": "set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE in the environment",
    "aws:assumeRole": "give a list under aws:assumeRoles, which is what the provider reads",
}
_ROLES: Final = "aws:assumeRoles"
_TOLD: Final = ("roleArn", "sessionName", "externalId")
_OF_NO_MATTER: Final = frozenset({"duration"})
"""Of the session: that of a dynamic resource has an hour, AWS's default."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """As whom AWS is reached; nothing of it: as boto3 finds by itself.

    Attributes:
        profile: of the AWS configuration.
        role_arn: role to assume.
        session_name: of the role's session.
        external_id: that the role's trust asks for.
    """

    profile: str | None = None
    role_arn: str | None = None
    session_name: str | None = None
    external_id: str | None = None


def read(values: Mapping[str, str]) -> Credentials:
    """What the AWS provider's configuration says.

    Args:
        values: configuration of the stack by full key, as text.

    Raises:
        ConfigError: it says what dynamic resources cannot be told, or nothing sensible.
    """
    for key, cure in _UNTELLABLE.items():
        if values.get(key):
            raise ConfigError(
                f"{key} is set, and the wait for the scheduler and the end of the fleet, which have credentials of "
                f"their own, cannot be told: {cure}, and unset {key}"
            )
    profile, role = values.get("aws:profile") or None, _role(values.get(_ROLES) or "[]")
    return Credentials(profile, *(role.get(name) for name in _TOLD))


def _role(text: str) -> Mapping[str, str]:
    """The one role to assume; empty for none."""
    try:
        roles = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{_ROLES} is {text!r}, which is no JSON ({error}): {_cure()}") from error
    if not isinstance(roles, list) or not all(isinstance(role, dict) for role in roles):
        raise ConfigError(f"{_ROLES} is {text!r}, which is no list of roles: {_cure()}")
    if len(roles) > 1:
        raise ConfigError(
            f"{_ROLES} has {len(roles)} roles, one assumed after the other: the wait for the scheduler and the end of "
            "the fleet can assume one. Name a profile that has the first ones (role_arn and source_profile in AWS's "
            "configuration) as aws:profile, and the last one here"
        )
    role: dict[str, Any] = {key: value for key, value in roles[0].items() if value} if roles else {}
    if more := sorted(role.keys() - {*_TOLD, *_OF_NO_MATTER}):
        raise ConfigError(
            f"{_ROLES} has {', '.join(more)}, which the wait for the scheduler and the end of the fleet cannot be told"
            f": leave it out, or put it into a profile and name that as aws:profile. They know {', '.join(_TOLD)}"
        )
    if wrong := [f"{key} {role[key]!r}" for key in _TOLD if not isinstance(role.get(key, ""), str)]:
        raise ConfigError(f"{_ROLES} has {', '.join(wrong)}, which is no text: {_cure()}")
    if roles and "roleArn" not in role:
        raise ConfigError(f"{_ROLES} has a role without roleArn: {_cure()}")
    return role


def _cure() -> str:
    return f"pulumi config set --path '{_ROLES}[0].roleArn' arn:aws:iam::123456789012:role/deploy"
