"""Load balancers, certificates, DNS and service discovery."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tests.infra.engine.kind import Kind, Props, Refused, again, aws, camel, one, pairs, settled, tags_of, whole

ISSUE_S = 20.0


def lb() -> Any:
    return aws("elbv2")


def lb_tags(arn: str) -> dict[str, str]:
    return tags_of(lb().describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])


def retag_lb(arn: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        lb().remove_tags(ResourceArns=[arn], TagKeys=list(old["tags"]))
    if new.get("tags"):
        lb().add_tags(ResourceArns=[arn], Tags=pairs(new["tags"]))


def text(value: Any) -> str:
    value = whole(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_of(written: str) -> Any:
    return {"true": True, "false": False}.get(written, int(written) if written.isdigit() else written)


# Load balancers

ATTRIBUTES = {
    "idleTimeout": "idle_timeout.timeout_seconds",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
}


def put_attributes(arn: str, p: Props) -> None:
    told = [{"Key": name, "Value": text(p[key])} for key, name in ATTRIBUTES.items() if key in p]
    lb().modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=told)


def create_balancer(p: Props) -> str:
    made = lb().create_load_balancer(
        Name=p["name"],
        Subnets=p["subnets"],
        SecurityGroups=p["securityGroups"],
        Scheme="internal" if p.get("internal") else "internet-facing",
        Type=p["loadBalancerType"],
        Tags=pairs(p.get("tags")),
    )
    arn = str(made["LoadBalancers"][0]["LoadBalancerArn"])
    put_attributes(arn, p)
    return arn


def read_balancer(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = lb().describe_load_balancers(LoadBalancerArns=[id_])["LoadBalancers"][0]
    attributes = {
        each["Key"]: each["Value"] for each in lb().describe_load_balancer_attributes(LoadBalancerArn=id_)["Attributes"]
    }
    return {
        "name": found["LoadBalancerName"],
        "subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
        "securityGroups": found["SecurityGroups"],
        "internal": found["Scheme"] == "internal",
        "loadBalancerType": found["Type"],
        **{key: value_of(attributes[name]) for key, name in ATTRIBUTES.items() if name in attributes},
        "tags": lb_tags(id_),
        "arn": id_,
        "arnSuffix": id_.partition(":loadbalancer/")[2],
        "dnsName": found["DNSName"],
        "zoneId": found["CanonicalHostedZoneId"],
    }


def change_balancer(id_: str, old: Props, new: Props) -> None:
    put_attributes(id_, new)
    if old.get("subnets") != new.get("subnets"):
        lb().set_subnets(LoadBalancerArn=id_, Subnets=new["subnets"])
    retag_lb(id_, old, new)


def delete_balancer(id_: str, _: Props) -> None:
    attributes = lb().describe_load_balancer_attributes(LoadBalancerArn=id_)["Attributes"]
    if {"Key": "deletion_protection.enabled", "Value": "true"} in attributes:
        raise Refused(f"{id_} has deletion protection")
    lb().delete_load_balancer(LoadBalancerArn=id_)


# Target groups

TARGET_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
}
HEALTH = {
    "path": "HealthCheckPath",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthyThreshold": "HealthyThresholdCount",
    "unhealthyThreshold": "UnhealthyThresholdCount",
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
}


def health(p: Props) -> dict[str, Any]:
    check = whole(p["healthCheck"])
    told = {name: check[key] for key, name in HEALTH.items() if key in check}
    return {**told, "Matcher": {"HttpCode": text(check["matcher"])}} if "matcher" in check else told


def put_target_attributes(arn: str, p: Props) -> None:
    told = [{"Key": name, "Value": text(p[key])} for key, name in TARGET_ATTRIBUTES.items() if key in p]
    lb().modify_target_group_attributes(TargetGroupArn=arn, Attributes=told)


def create_targets(p: Props) -> str:
    made = lb().create_target_group(
        Name=p["name"],
        Protocol=p["protocol"],
        Port=int(p["port"]),
        VpcId=p["vpcId"],
        TargetType=p["targetType"],
        Tags=pairs(p.get("tags")),
        **health(p),
    )
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    put_target_attributes(arn, p)
    return arn


def read_targets(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = lb().describe_target_groups(TargetGroupArns=[id_])["TargetGroups"][0]
    attributes = {
        each["Key"]: each["Value"] for each in lb().describe_target_group_attributes(TargetGroupArn=id_)["Attributes"]
    }
    return {
        "name": found["TargetGroupName"],
        "protocol": found["Protocol"],
        "port": found["Port"],
        "vpcId": found["VpcId"],
        "targetType": found["TargetType"],
        "healthCheck": {
            **{key: found.get(name) for key, name in HEALTH.items()},
            "matcher": found.get("Matcher", {}).get("HttpCode"),
        },
        **{key: value_of(attributes[name]) for key, name in TARGET_ATTRIBUTES.items() if name in attributes},
        "tags": lb_tags(id_),
        "arn": id_,
        "arnSuffix": id_.rpartition(":")[2],
    }


def change_targets(id_: str, old: Props, new: Props) -> None:
    lb().modify_target_group(TargetGroupArn=id_, **health(new))
    put_target_attributes(id_, new)
    retag_lb(id_, old, new)


# Listeners


def action(each: Props) -> dict[str, Any]:
    made: dict[str, Any] = {"Type": each["type"]}
    if "targetGroupArn" in each:
        made["TargetGroupArn"] = each["targetGroupArn"]
    if "redirect" in each:
        made["RedirectConfig"] = {key[0].upper() + key[1:]: text(value) for key, value in each["redirect"].items()}
    return made


def listener(p: Props) -> dict[str, Any]:
    told: dict[str, Any] = {
        "Protocol": p["protocol"],
        "Port": int(p["port"]),
        "DefaultActions": [action(each) for each in p["defaultActions"]],
    }
    if "certificateArn" in p:
        told |= {"Certificates": [{"CertificateArn": p["certificateArn"]}], "SslPolicy": p["sslPolicy"]}
    return told


def refuse_listener(p: Props) -> None:
    arn = p.get("certificateArn")
    if isinstance(arn, str) and arn:
        state = aws("acm").describe_certificate(CertificateArn=arn)["Certificate"]["Status"]
        if state != "ISSUED":
            raise Refused(f"the certificate {arn} is {state}, and a listener needs an issued one")


def create_listener(p: Props) -> str:
    made = lb().create_listener(LoadBalancerArn=p["loadBalancerArn"], Tags=pairs(p.get("tags")), **listener(p))
    return str(made["Listeners"][0]["ListenerArn"])


def read_listener(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = lb().describe_listeners(ListenerArns=[id_])["Listeners"][0]
    actions = []
    for each in found["DefaultActions"]:
        seen = {"type": each["Type"]}
        if "TargetGroupArn" in each:
            seen["targetGroupArn"] = each["TargetGroupArn"]
        if "RedirectConfig" in each:
            seen["redirect"] = camel(each["RedirectConfig"])
        actions.append(seen)
    certificate = one(found.get("Certificates", []))
    return {
        "loadBalancerArn": found["LoadBalancerArn"],
        "protocol": found["Protocol"],
        "port": found["Port"],
        "defaultActions": actions,
        "certificateArn": certificate and certificate["CertificateArn"],
        "sslPolicy": found.get("SslPolicy"),
        "tags": lb_tags(id_),
        "arn": id_,
    }


def change_listener(id_: str, old: Props, new: Props) -> None:
    lb().modify_listener(ListenerArn=id_, **listener(new))
    retag_lb(id_, old, new)


# Certificates


def read_certificate(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = aws("acm").describe_certificate(CertificateArn=id_)["Certificate"]
    options = [
        {
            "domainName": each["DomainName"],
            "resourceRecordName": each["ResourceRecord"]["Name"],
            "resourceRecordType": each["ResourceRecord"]["Type"],
            "resourceRecordValue": each["ResourceRecord"]["Value"],
        }
        for each in found["DomainValidationOptions"]
    ]
    return {
        "domainName": found["DomainName"],
        "validationMethod": found["DomainValidationOptions"][0]["ValidationMethod"],
        "domainValidationOptions": options,
        "tags": tags_of(aws("acm").list_tags_for_certificate(CertificateArn=id_)["Tags"]),
        "arn": id_,
    }


def retag_certificate(id_: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        aws("acm").remove_tags_from_certificate(CertificateArn=id_, Tags=pairs(old["tags"]))
    aws("acm").add_tags_to_certificate(CertificateArn=id_, Tags=pairs(new.get("tags")))


def create_certificate(p: Props) -> str:
    made = aws("acm").request_certificate(
        DomainName=p["domainName"], ValidationMethod=p["validationMethod"], Tags=pairs(p.get("tags"))
    )
    return str(made["CertificateArn"])


def validate(p: Props) -> str:
    """moto issues a certificate after a second, whatever the DNS says; the records must be there, as ACM wants them."""
    zones = aws("route53").list_hosted_zones()["HostedZones"]
    there = {
        record["Name"].rstrip(".")
        for zone in zones
        for record in aws("route53").list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    }
    missing = [name for name in p.get("validationRecordFqdns", []) if name.rstrip(".") not in there]
    if missing:
        raise Refused(f"the certificate is not issued: no record {', '.join(missing)} (there are {sorted(there)})")
    end = time.monotonic() + ISSUE_S
    while aws("acm").describe_certificate(CertificateArn=p["certificateArn"])["Certificate"]["Status"] != "ISSUED":
        if time.monotonic() > end:
            raise Refused(f"the certificate {p['certificateArn']} was not issued within {ISSUE_S:g} s")
        time.sleep(0.2)
    return str(p["certificateArn"])


def read_validation(id_: str, known: Props) -> Mapping[str, Any] | None:
    aws("acm").describe_certificate(CertificateArn=id_)
    return {"certificateArn": id_, "validationRecordFqdns": known.get("validationRecordFqdns", [])}


# Records


def put_record(p: Props) -> str:
    change_records("UPSERT", p)
    return f"{p['zoneId']}_{p['name']}_{p['type']}"


def change_records(verb: str, p: Props) -> None:
    made: dict[str, Any] = {"Name": p["name"], "Type": p["type"]}
    if p.get("records"):
        made |= {"TTL": int(p["ttl"]), "ResourceRecords": [{"Value": value} for value in p["records"]]}
    for alias in p.get("aliases", []):
        made["AliasTarget"] = {
            "DNSName": alias["name"],
            "HostedZoneId": alias["zoneId"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    batch = {"Changes": [{"Action": verb, "ResourceRecordSet": made}]}
    aws("route53").change_resource_record_sets(HostedZoneId=p["zoneId"], ChangeBatch=batch)


def read_record(id_: str, _: Props) -> Mapping[str, Any] | None:
    zone, _sep, rest = id_.partition("_")
    name, _sep, kind = rest.rpartition("_")
    for each in aws("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]:
        if each["Name"].rstrip(".") == name.rstrip(".") and each["Type"] == kind:
            alias = each.get("AliasTarget")
            return {
                "zoneId": zone,
                "name": name,
                "type": kind,
                "fqdn": name.rstrip("."),
                "ttl": each.get("TTL"),
                "records": [record["Value"] for record in each.get("ResourceRecords", [])],
                "aliases": [
                    {
                        "name": alias["DNSName"],
                        "zoneId": alias["HostedZoneId"],
                        "evaluateTargetHealth": alias["EvaluateTargetHealth"],
                    }
                ]
                if alias
                else [],
            }
    return None


# Service discovery


def sd() -> Any:
    return aws("servicediscovery")


def create_namespace(p: Props) -> str:
    made = sd().create_private_dns_namespace(
        Name=p["name"], Vpc=p["vpc"], Description=p.get("description", ""), Tags=pairs(p.get("tags"))
    )
    return str(sd().get_operation(OperationId=made["OperationId"])["Operation"]["Targets"]["NAMESPACE"])


def sd_tags(arn: str) -> dict[str, str]:
    return tags_of(sd().list_tags_for_resource(ResourceARN=arn)["Tags"])


def read_namespace(id_: str, known: Props) -> Mapping[str, Any] | None:
    found = sd().get_namespace(Id=id_)["Namespace"]
    return {
        "name": found["Name"],
        "description": found.get("Description"),
        "tags": sd_tags(found["Arn"]),
        "arn": found["Arn"],
        "hostedZone": found.get("Properties", {}).get("DnsProperties", {}).get("HostedZoneId"),
    }


def change_namespace(id_: str, old: Props, new: Props) -> None:
    sd().update_private_dns_namespace(Id=id_, Namespace={"Description": new.get("description", "")})


def delete_namespace(id_: str, _: Props) -> None:
    left = [each["Name"] for each in sd().list_services()["Services"]]
    if left:
        raise Refused(f"the namespace {id_} still has services: {', '.join(left)}")
    zone = sd().get_namespace(Id=id_)["Namespace"].get("Properties", {}).get("DnsProperties", {}).get("HostedZoneId")
    sd().delete_namespace(Id=id_)
    if zone:  # goes with it on AWS
        aws("route53").delete_hosted_zone(Id=zone)


def create_discovery(p: Props) -> str:
    config = whole(p["dnsConfig"])
    made = sd().create_service(
        Name=p["name"],
        NamespaceId=config["namespaceId"],
        DnsConfig={
            "RoutingPolicy": config["routingPolicy"],
            "DnsRecords": [{"Type": each["type"], "TTL": each["ttl"]} for each in config["dnsRecords"]],
        },
        Tags=pairs(p.get("tags")),
    )
    return str(made["Service"]["Id"])


def read_discovery(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = sd().get_service(Id=id_)["Service"]
    config = found["DnsConfig"]
    return {
        "name": found["Name"],
        "dnsConfig": {
            "namespaceId": found["NamespaceId"],
            "routingPolicy": config.get("RoutingPolicy"),
            "dnsRecords": [{"type": each["Type"], "ttl": each["TTL"]} for each in config["DnsRecords"]],
        },
        "tags": sd_tags(found["Arn"]),
        "arn": found["Arn"],
    }


def change_discovery(id_: str, old: Props, new: Props) -> None:
    records = [{"Type": each["type"], "TTL": int(each["ttl"])} for each in new["dnsConfig"]["dnsRecords"]]
    sd().update_service(Id=id_, Service={"DnsConfig": {"DnsRecords": records}})


KINDS = {
    "aws:lb/loadBalancer:LoadBalancer": Kind(
        create_balancer,
        read_balancer,
        change_balancer,
        delete_balancer,
        name="name",
        longest=32,
        replaces=frozenset({"name", "internal", "loadBalancerType"}),
    ),
    "aws:lb/targetGroup:TargetGroup": Kind(
        create_targets,
        read_targets,
        change_targets,
        lambda id_, _: lb().delete_target_group(TargetGroupArn=id_),
        name="name",
        longest=32,
        replaces=frozenset({"name", "port", "protocol", "targetType", "vpcId"}),
    ),
    "aws:lb/listener:Listener": Kind(
        create_listener,
        read_listener,
        change_listener,
        lambda id_, _: lb().delete_listener(ListenerArn=id_),
        replaces=frozenset({"loadBalancerArn"}),
        refuse=refuse_listener,
    ),
    "aws:acm/certificate:Certificate": Kind(
        create_certificate,
        read_certificate,
        retag_certificate,
        lambda id_, _: aws("acm").delete_certificate(CertificateArn=id_),
        replaces=frozenset({"domainName", "validationMethod"}),
    ),
    "aws:acm/certificateValidation:CertificateValidation": Kind(
        validate,
        read_validation,
        settled,
        lambda id_, _: None,
        replaces=frozenset({"certificateArn", "validationRecordFqdns"}),
    ),
    "aws:route53/record:Record": Kind(
        put_record,
        read_record,
        again(put_record),
        lambda id_, known: change_records("DELETE", known),
        replaces=frozenset({"zoneId", "name", "type"}),
        dropped={"allowOverwrite": "`null`"},
    ),
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": Kind(
        create_namespace,
        read_namespace,
        change_namespace,
        delete_namespace,
        replaces=frozenset({"name", "vpc"}),
        dropped={"vpc": "Vpc"},
        raw=lambda id_, _: sd().get_namespace(Id=id_)["Namespace"],
    ),
    "aws:servicediscovery/service:Service": Kind(
        create_discovery,
        read_discovery,
        change_discovery,
        lambda id_, _: sd().delete_service(Id=id_),
        name="name",
        replaces=frozenset({"name"}),
        dropped={"forceDestroy": "`null`"},
    ),
}
