"""A secret in Secrets Manager, with its value: containers get it by its ARN, nobody else sees it."""

from __future__ import annotations

from typing import NamedTuple

import pulumi
import pulumi_aws as aws

from infra.components.base import Component

RECOVERY_DAYS = 7


class Kept(NamedTuple):
    """A secret that was kept.

    Attributes:
        arn: of the secret.
        version: its value, which must be there before a container that gets it.
    """

    arn: pulumi.Output[str]
    version: pulumi.Resource


def keep(component: Component, name: str, what: str, value: pulumi.Output[str]) -> Kept:
    """Keep a value as a secret of a component.

    Args:
        component: whose it is.
        name: of the secret within the stack.
        what: it is, for who reads a list of secrets.
        value: encrypted in Pulumi's state.
    """
    names = component.place.names
    secret = aws.secretsmanager.Secret(
        names.logical(name),
        description=f"Tidegate: {what}",
        # A stack that is made anew at once may have the name again.
        recovery_window_in_days=RECOVERY_DAYS if component.place.settings.production else 0,
        opts=component.child(),
    )
    version = aws.secretsmanager.SecretVersion(
        names.logical(f"{name}-value"),
        secret_id=secret.id,
        secret_string=value.apply(pulumi.Output.secret),
        opts=component.child(),
    )
    return Kept(secret.arn, version)
