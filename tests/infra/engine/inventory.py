"""What a moto server holds, by the listings of its services: names and ids, by service and kind."""

from __future__ import annotations

from typing import Any

import jmespath

from tests.infra.engine.harness import Cloud

Inventory = dict[str, list[str]]

LISTINGS: tuple[tuple[str, str, str], ...] = (
    ("ec2", "describe_vpcs", "Vpcs[].VpcId"),
    ("ec2", "describe_subnets", "Subnets[].SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables[].RouteTableId"),
    ("ec2", "describe_internet_gateways", "InternetGateways[].InternetGatewayId"),
    ("ec2", "describe_nat_gateways", "NatGateways[?State=='available'].NatGatewayId"),
    ("ec2", "describe_addresses", "Addresses[].AllocationId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints[?State!='deleted'].VpcEndpointId"),
    ("ec2", "describe_security_groups", "SecurityGroups[].GroupId"),
    ("ec2", "describe_security_group_rules", "SecurityGroupRules[].SecurityGroupRuleId"),
    ("iam", "list_roles", "Roles[].RoleName"),
    ("iam", "list_policies", "Policies[?!starts_with(Arn, 'arn:aws:iam::aws:')].Arn"),
    ("logs", "describe_log_groups", "logGroups[].logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries[].DashboardName"),
    ("sns", "list_topics", "Topics[].TopicArn"),
    ("sns", "list_subscriptions", "Subscriptions[].SubscriptionArn"),
    ("ecs", "list_task_definitions", "taskDefinitionArns[]"),
    ("ecr", "describe_repositories", "repositories[].repositoryName"),
    ("elasticache", "describe_replication_groups", "ReplicationGroups[].ReplicationGroupId"),
    ("elasticache", "describe_cache_clusters", "CacheClusters[].CacheClusterId"),
    ("elasticache", "describe_cache_subnet_groups", "CacheSubnetGroups[].CacheSubnetGroupName"),
    ("elasticache", "describe_cache_parameter_groups", "CacheParameterGroups[].CacheParameterGroupName"),
    ("elasticache", "describe_snapshots", "Snapshots[].SnapshotName"),
    ("s3", "list_buckets", "Buckets[].Name"),
    ("secretsmanager", "list_secrets", "SecretList[].Name"),
    ("efs", "describe_file_systems", "FileSystems[].FileSystemId"),
    ("elbv2", "describe_load_balancers", "LoadBalancers[].LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups[].TargetGroupName"),
    ("acm", "list_certificates", "CertificateSummaryList[].DomainName"),
    ("route53", "list_hosted_zones", "HostedZones[].Name"),
    ("servicediscovery", "list_namespaces", "Namespaces[].Name"),
    ("servicediscovery", "list_services", "Services[].Name"),
)


def inventory(aws: Cloud) -> Inventory:
    """Look."""
    found: Inventory = {}
    for service, operation, names in LISTINGS:
        found[f"{service}:{operation}"] = sorted(
            jmespath.search(names, getattr(aws.client(service), operation)()) or []
        )
    ecs = aws.client("ecs")
    clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
    found["ecs:clusters"] = [each["clusterName"] for each in clusters if each["status"] == "ACTIVE"]
    scaling = aws.client("application-autoscaling")
    for operation, key in (("describe_scalable_targets", "ResourceId"), ("describe_scaling_policies", "PolicyName")):
        answer: Any = getattr(scaling, operation)(ServiceNamespace="ecs")
        found[f"scaling:{operation}"] = sorted(
            each[key] for items in answer.values() if isinstance(items, list) for each in items
        )
    zones = aws.client("route53")
    for zone in zones.list_hosted_zones()["HostedZones"]:
        records = zones.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
        found[f"route53:{zone['Name']}"] = sorted(f"{each['Name']} {each['Type']}" for each in records)
    return found


def more(now: Inventory, before: Inventory) -> Inventory:
    """What there is now and was not before."""
    found = {kind: [name for name in names if name not in before.get(kind, [])] for kind, names in now.items()}
    return {kind: names for kind, names in found.items() if names}
