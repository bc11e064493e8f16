"""Reads where the stack is: its configuration, checked before anything else, and the account that Pulumi works in."""

from __future__ import annotations

import sys

import pulumi
import pulumi_aws as aws
from pulumi.runtime import config

from infra import credentials
from infra.components.base import Place
from infra.naming import Names
from infra.settings import NAMESPACE, ConfigError, check_region, read


def _check_zones(wanted: int, region: str) -> None:
    regular = aws.GetAvailabilityZonesFilterArgs(name="zone-type", values=["availability-zone"])
    there = aws.get_availability_zones(state="available", filters=[regular]).names
    if wanted > len(there):
        raise ConfigError(
            f"{NAMESPACE}:availabilityZones is {wanted}, and {region} has {len(there)} for this account "
            f"({', '.join(there)}): lower it, or take another region"
        )


def find_place() -> Place:
    """The stack, as its configuration and credentials say; ends the program when the configuration is wrong."""
    try:
        values = {**config.get_config_env(), **config.CONFIG.get()}
        settings = read(values)
        who = credentials.read(values)
        region = aws.get_region().region
        check_region(settings, region)
        _check_zones(settings.availability_zones, region)
    except ConfigError as error:
        # A traceback would hide what the operator has to do.
        pulumi.log.error(str(error))
        sys.exit(1)
    return Place(
        Names(pulumi.get_project(), pulumi.get_stack()),
        settings,
        region=region,
        account=aws.get_caller_identity().account_id,
        partition=aws.get_partition().partition,
        credentials=who,
    )
