"""Gives the rules to Pulumi's policy engine, all mandatory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.policy.rules import RULES, STACK_RULES, Rule, Seen, StackRule


def known(value: Any) -> Any:
    """A copy of a property without what is not known yet in a preview."""
    if isinstance(value, Mapping):
        kept = {}
        for key in value:
            try:
                kept[key] = known(value[key])
            except UnknownValueError:
                continue
        return kept
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return value
    items = []
    for number in range(len(value)):
        try:
            items.append(known(value[number]))
        except UnknownValueError:
            continue
    return items


def resource_policy(name: str, rule: Rule) -> ResourceValidationPolicy:
    """A rule about one resource."""

    def validate(args: ResourceValidationArgs, report_violation: ReportViolation) -> None:
        for message in rule(Seen(args.urn, args.resource_type, args.name, known(args.props), bool(args.opts.protect))):
            report_violation(message, args.urn)

    return ResourceValidationPolicy(name, rule.__doc__ or name, validate, EnforcementLevel.MANDATORY)


def stack_policy(name: str, rule: StackRule) -> StackValidationPolicy:
    """A rule about several resources."""

    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        for seen, message in rule([_seen(resource) for resource in args.resources]):
            report_violation(message, seen.urn)

    return StackValidationPolicy(name, rule.__doc__ or name, validate, EnforcementLevel.MANDATORY)


def _seen(resource: PolicyResource) -> Seen:
    depends = {key: frozenset(other.urn for other in others) for key, others in resource.property_dependencies.items()}
    protect = bool(resource.opts.protect)
    return Seen(resource.urn, resource.resource_type, resource.name, known(resource.props), protect, depends)


if __name__ == "__main__":
    PolicyPack(
        "tidegate",
        [
            *(resource_policy(name, rule) for name, rule in RULES.items()),
            *(stack_policy(name, stack_rule) for name, stack_rule in STACK_RULES.items()),
        ],
    )
