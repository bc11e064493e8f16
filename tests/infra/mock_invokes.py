"""What functions of providers answer under mocks: one account, one region, three availability zones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
PARTITION = "aws"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Arguments in, answer out, both by their names in the schema."""


def answer(token: str, arguments: Mapping[str, Any], extra: Mapping[str, Answer]) -> Mapping[str, Any]:
    """What a function answers.

    Raises:
        LookupError: nobody has said what it answers.
    """
    found = extra.get(token) or _ANSWERS.get(token)
    if found is None:
        raise LookupError(
            f"no mock knows what {token} answers (arguments {dict(arguments)}): add it to tests/infra/mock_invokes.py, "
            "or give record(invokes=…)"
        )
    return {**arguments, **found(arguments)}


def _region(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    name = arguments.get("region") or arguments.get("name") or REGION
    return {"id": name, "name": name, "region": name, "description": name, "endpoint": f"ec2.{name}.amazonaws.com"}


def _caller(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "id": ACCOUNT,
        "accountId": ACCOUNT,
        "arn": f"arn:{PARTITION}:sts::{ACCOUNT}:assumed-role/deploy/session",
        "userId": "AROAEXAMPLE:session",
    }


def _zones(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    zone_ids = [f"use1-az{number}" for number, _ in enumerate(ZONES, 1)]
    return {"id": REGION, "names": list(ZONES), "zoneIds": zone_ids, "groupNames": [REGION]}


def _partition(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "id": PARTITION,
        "partition": PARTITION,
        "dnsSuffix": "amazonaws.com",
        "reverseDnsPrefix": "com.amazonaws",
    }


def _prefix_list(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    name = arguments.get("name", f"com.amazonaws.{REGION}.s3")
    return {"id": "pl-63a5400a", "prefixListId": "pl-63a5400a", "name": name, "cidrBlocks": ["52.216.0.0/15"]}


def _managed_prefix_list(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    name = arguments.get("name", f"com.amazonaws.{REGION}.s3")
    return {
        "id": "pl-63a5400a",
        "arn": f"arn:{PARTITION}:ec2:{REGION}:aws:prefix-list/pl-63a5400a",
        "name": name,
        "addressFamily": "IPv4",
        "ownerId": "AWS",
        "entries": [{"cidr": "52.216.0.0/15", "description": ""}],
        "maxEntries": 0,
        "version": 0,
        "tags": {},
    }


def _endpoint_service(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    service = arguments.get("service", "s3")
    name = arguments.get("serviceName", f"com.amazonaws.{REGION}.{service}")
    return {
        "id": "1",
        "serviceName": name,
        "serviceType": arguments.get("serviceType", "Interface"),
        "availabilityZones": list(ZONES),
        "owner": "amazon",
        "acceptanceRequired": False,
        "vpcEndpointPolicySupported": True,
        "privateDnsName": f"{service}.{REGION}.amazonaws.com",
    }


def _zone(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    name = arguments.get("name", "example.com")
    zone_id = arguments.get("zoneId", "Z0123456789EXAMPLE")
    return {"id": zone_id, "zoneId": zone_id, "name": name, "arn": f"arn:{PARTITION}:route53:::hostedzone/{zone_id}"}


def _policy_document(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    statements = [_statement(statement) for statement in arguments.get("statements", [])]
    document = {"Version": arguments.get("version", "2012-10-17"), "Statement": statements}
    return {"id": "1", "json": json.dumps(document), "minifiedJson": json.dumps(document, separators=(",", ":"))}


def _statement(given: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": given.get("effect", "Allow")}
    if "sid" in given:
        made["Sid"] = given["sid"]
    for key, name in (("actions", "Action"), ("notActions", "NotAction")):
        if key in given:
            made[name] = given[key]
    for key, name in (("resources", "Resource"), ("notResources", "NotResource")):
        if key in given:
            made[name] = given[key]
    for key, name in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if key in given:
            made[name] = {principal["type"]: principal["identifiers"] for principal in given[key]}
    for condition in given.get("conditions", []):
        tested = made.setdefault("Condition", {}).setdefault(condition["test"], {})
        tested[condition["variable"]] = condition["values"]
    return made


_ANSWERS: Mapping[str, Answer] = {
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getCallerIdentity:getCallerIdentity": _caller,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getPartition:getPartition": _partition,
    "aws:ec2/getPrefixList:getPrefixList": _prefix_list,
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": _managed_prefix_list,
    "aws:ec2/getVpcEndpointService:getVpcEndpointService": _endpoint_service,
    "aws:route53/getZone:getZone": _zone,
    "aws:iam/getPolicyDocument:getPolicyDocument": _policy_document,
}
