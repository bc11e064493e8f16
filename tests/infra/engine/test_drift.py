"""What somebody changes or deletes at AWS, of each kind of resource, shows on `refresh` and is put right by `up`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jmespath
import pytest

from tests.infra.engine import kind as kinds
from tests.infra.engine.harness import Cloud, Stack
from tests.infra.engine.plugin import Plugin, token_of
from tests.infra.engine.tables import KINDS


@dataclass(frozen=True)
class There:
    """A resource of the stack's state."""

    urn: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


Deed = Callable[[Cloud, There], None]


def does(service: str, operation: str, /, **arguments: str) -> Deed:
    """What somebody does by one call, its arguments JMESPaths into the resource: `id`, `inputs`, `outputs`."""

    def do(aws: Cloud, there: There) -> None:
        told = {"id": there.id, "inputs": there.inputs, "outputs": there.outputs}
        found = {name: kinds.whole(jmespath.search(path, told)) for name, path in arguments.items()}
        getattr(aws.client(service), operation)(**found)

    return do


TAGS = "[{Key: 'tidegate:component', Value: 'somebody'}]"
LOWER = "[{key: 'tidegate:component', value: 'somebody'}]"
RETAGGED = does("ec2", "create_tags", Resources="[id]", Tags=TAGS)
NOBODY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}]}
)
NOTHING_KEPT = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            }
        ]
    }
)
PLACE = {
    "ServiceNamespace": "inputs.serviceNamespace",
    "ResourceId": "inputs.resourceId",
    "ScalableDimension": "inputs.scalableDimension",
}
RULE = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIpv4": "192.0.2.0/24"}
OTHER_RULE = does(
    "ec2",
    "modify_security_group_rules",
    GroupId="inputs.securityGroupId",
    SecurityGroupRules=f"[{{SecurityGroupRuleId: id, SecurityGroupRule: `{json.dumps(RULE)}`}}]",
)


def to_the_internet(aws: Cloud, there: There) -> None:
    """Lead a route past the NAT gateway."""
    ec2 = aws.client("ec2")
    (gateway,) = [
        each["InternetGatewayId"]
        for each in ec2.describe_internet_gateways()["InternetGateways"]
        if "tidegate" in json.dumps(each["Tags"])
    ]
    table, destination = there.inputs["routeTableId"], there.inputs["destinationCidrBlock"]
    ec2.replace_route(RouteTableId=table, DestinationCidrBlock=destination, GatewayId=gateway)


def alarm_later(aws: Cloud, there: There) -> None:
    """Raise an alarm's threshold."""
    watch = aws.client("cloudwatch")
    (found,) = watch.describe_alarms(AlarmNames=[there.id])["MetricAlarms"]
    told = ("AlarmArn", "StateValue", "StateReason", "StateUpdatedTimestamp", "StateTransitionedTimestamp")
    kept = {name: value for name, value in found.items() if not name.startswith((*told, "AlarmConfiguration"))}
    watch.put_metric_alarm(**{**kept, "Threshold": 12345.0})


CHANGES: Mapping[str, Deed] = {
    "aws:appautoscaling/policy:Policy": does(
        "application-autoscaling",
        "put_scaling_policy",
        **PLACE,
        PolicyName="id",
        PolicyType="inputs.policyType",
        TargetTrackingScalingPolicyConfiguration="{TargetValue: `11`, PredefinedMetricSpecification: "
        "{PredefinedMetricType: 'ECSServiceAverageCPUUtilization'}}",
    ),
    "aws:appautoscaling/target:Target": does(
        "application-autoscaling", "register_scalable_target", **PLACE, MinCapacity="`1`", MaxCapacity="`99`"
    ),
    "aws:cloudwatch/dashboard:Dashboard": does(
        "cloudwatch", "put_dashboard", DashboardName="id", DashboardBody="'{\"widgets\": []}'"
    ),
    "aws:cloudwatch/logGroup:LogGroup": does("logs", "put_retention_policy", logGroupName="id", retentionInDays="`3`"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": alarm_later,
    "aws:ec2/eip:Eip": RETAGGED,
    "aws:ec2/internetGateway:InternetGateway": RETAGGED,
    "aws:ec2/natGateway:NatGateway": RETAGGED,
    "aws:ec2/route:Route": to_the_internet,
    "aws:ec2/routeTable:RouteTable": RETAGGED,
    "aws:ec2/securityGroup:SecurityGroup": RETAGGED,
    "aws:ec2/subnet:Subnet": does(
        "ec2",
        "modify_subnet_attribute",
        SubnetId="id",
        MapPublicIpOnLaunch="{Value: inputs.mapPublicIpOnLaunch == `false`}",
    ),
    "aws:ec2/vpc:Vpc": does("ec2", "modify_vpc_attribute", VpcId="id", EnableDnsHostnames="{Value: `false`}"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": does(
        "ec2", "modify_vpc_endpoint", VpcEndpointId="id", RemoveRouteTableIds="inputs.routeTableIds[:1]"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": OTHER_RULE,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": OTHER_RULE,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": does(
        "ecr", "put_lifecycle_policy", repositoryName="id", lifecyclePolicyText=f"'{NOTHING_KEPT}'"
    ),
    "aws:ecr/repository:Repository": does(
        "ecr", "put_image_tag_mutability", repositoryName="id", imageTagMutability="'MUTABLE'"
    ),
    "aws:ecs/cluster:Cluster": does(
        "ecs", "update_cluster", cluster="id", settings="[{name: 'containerInsights', value: 'enhanced'}]"
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": does(
        "ecs",
        "put_cluster_capacity_providers",
        cluster="id",
        capacityProviders="['FARGATE']",
        defaultCapacityProviderStrategy="`[]`",
    ),
    "aws:ecs/service:Service": does(
        "ecs", "update_service", cluster="inputs.cluster", service="id", desiredCount="`2`"
    ),
    "aws:ecs/taskDefinition:TaskDefinition": does("ecs", "tag_resource", resourceArn="id", tags=LOWER),
    "aws:elasticache/parameterGroup:ParameterGroup": does(
        "elasticache",
        "modify_cache_parameter_group",
        CacheParameterGroupName="id",
        ParameterNameValues="[{ParameterName: 'maxmemory-policy', ParameterValue: 'noeviction'}]",
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": does(
        "elasticache", "modify_replication_group", ReplicationGroupId="id", SnapshotRetentionLimit="`9`"
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": does(
        "elasticache",
        "modify_cache_subnet_group",
        CacheSubnetGroupName="id",
        CacheSubnetGroupDescription="'somebody was here'",
        SubnetIds="inputs.subnetIds",
    ),
    "aws:iam/role:Role": does("iam", "update_role", RoleName="id", Description="'somebody was here'"),
    "aws:iam/rolePolicy:RolePolicy": does(
        "iam", "put_role_policy", RoleName="inputs.role", PolicyName="inputs.name", PolicyDocument=f"'{NOBODY}'"
    ),
    "aws:lb/listener:Listener": does("elbv2", "modify_listener", ListenerArn="id", Port="`8080`"),
    "aws:lb/loadBalancer:LoadBalancer": does(
        "elbv2",
        "modify_load_balancer_attributes",
        LoadBalancerArn="id",
        Attributes="[{Key: 'idle_timeout.timeout_seconds', Value: '7'}]",
    ),
    "aws:lb/targetGroup:TargetGroup": does(
        "elbv2",
        "modify_target_group_attributes",
        TargetGroupArn="id",
        Attributes="[{Key: 'deregistration_delay.timeout_seconds', Value: '7'}]",
    ),
    "aws:s3/bucket:Bucket": does("s3", "put_bucket_tagging", Bucket="id", Tagging=f"{{TagSet: {TAGS}}}"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": does(
        "s3",
        "put_bucket_lifecycle_configuration",
        Bucket="id",
        LifecycleConfiguration="{Rules: [{ID: 'never', Status: 'Disabled', Filter: {Prefix: 'x'}, "
        "Expiration: {Days: `99`}}]}",
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": does(
        "s3",
        "put_bucket_ownership_controls",
        Bucket="id",
        OwnershipControls="{Rules: [{ObjectOwnership: 'ObjectWriter'}]}",
    ),
    "aws:s3/bucketPolicy:BucketPolicy": does("s3", "put_bucket_policy", Bucket="id", Policy=f"'{NOBODY}'"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": does(
        "s3", "put_public_access_block", Bucket="id", PublicAccessBlockConfiguration="{BlockPublicAcls: `false`}"
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": does(
        "s3",
        "put_bucket_encryption",
        Bucket="id",
        ServerSideEncryptionConfiguration="{Rules: [{ApplyServerSideEncryptionByDefault: {SSEAlgorithm: 'aws:kms'}}]}",
    ),
    "aws:secretsmanager/secret:Secret": does(
        "secretsmanager", "update_secret", SecretId="id", Description="'somebody was here'"
    ),
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": does(
        "servicediscovery",
        "update_private_dns_namespace",
        Id="id",
        Namespace="{Description: 'somebody was here'}",
    ),
    "aws:servicediscovery/service:Service": does(
        "servicediscovery", "update_service", Id="id", Service="{DnsConfig: {DnsRecords: [{Type: 'A', TTL: `77`}]}}"
    ),
}
STATE = "lives in the state alone"
UNCHANGED: Mapping[str, str] = {
    "aws:ec2/routeTableAssociation:RouteTableAssociation": "EC2 gives a changed one another id: it is gone",
    "aws:secretsmanager/secretVersion:SecretVersion": "another value is another version, and this one stays",
    "docker-build:index:Image": "a tag of a repository whose tags are immutable: the same bytes for good",
    "pulumi-python:dynamic/tidegate:FleetStop": "is nothing at AWS: it acts on destroy",
    "pulumi-python:dynamic/tidegate:SchedulerAddress": "is found, not set: see the test of a new scheduler",
    "random:index/randomPassword:RandomPassword": STATE,
}


def delete_image(aws: Cloud, there: There) -> None:
    """By its tag."""
    repository, _sep, tag = there.inputs["tags"][0].partition("/")[2].rpartition(":")
    aws.client("ecr").batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": tag}])


# What others need can only be deleted after them, so there are two rounds: first the leaves, then what they were on.
LEAVES: Mapping[str, Deed] = {
    "aws:appautoscaling/policy:Policy": does(
        "application-autoscaling", "delete_scaling_policy", **PLACE, PolicyName="id"
    ),
    "aws:cloudwatch/dashboard:Dashboard": does("cloudwatch", "delete_dashboards", DashboardNames="[id]"),
    "aws:cloudwatch/logGroup:LogGroup": does("logs", "delete_log_group", logGroupName="id"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": does("cloudwatch", "delete_alarms", AlarmNames="[id]"),
    "aws:ec2/route:Route": does(
        "ec2",
        "delete_route",
        RouteTableId="inputs.routeTableId",
        DestinationCidrBlock="inputs.destinationCidrBlock",
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": does("ec2", "disassociate_route_table", AssociationId="id"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": does("ec2", "delete_vpc_endpoints", VpcEndpointIds="[id]"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": does(
        "ec2", "revoke_security_group_egress", GroupId="inputs.securityGroupId", SecurityGroupRuleIds="[id]"
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": does(
        "ec2", "revoke_security_group_ingress", GroupId="inputs.securityGroupId", SecurityGroupRuleIds="[id]"
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": does("ecr", "delete_lifecycle_policy", repositoryName="id"),
    "docker-build:index:Image": delete_image,
    "aws:ecs/taskDefinition:TaskDefinition": does("ecs", "deregister_task_definition", taskDefinition="id"),
    "aws:iam/rolePolicy:RolePolicy": does(
        "iam", "delete_role_policy", RoleName="inputs.role", PolicyName="inputs.name"
    ),
    "aws:lb/listener:Listener": does("elbv2", "delete_listener", ListenerArn="id"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": does(
        "s3", "delete_bucket_lifecycle", Bucket="id"
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": does(
        "s3", "delete_bucket_ownership_controls", Bucket="id"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": does("s3", "delete_bucket_policy", Bucket="id"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": does("s3", "delete_public_access_block", Bucket="id"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": does(
        "s3", "delete_bucket_encryption", Bucket="id"
    ),
}


def end_role(aws: Cloud, there: There) -> None:
    """As the console does: its policies first."""
    iam = aws.client("iam")
    for name in iam.list_role_policies(RoleName=there.id)["PolicyNames"]:
        iam.delete_role_policy(RoleName=there.id, PolicyName=name)
    iam.delete_role(RoleName=there.id)


def end_balancer(aws: Cloud, there: There) -> None:
    """As AWS does: its listeners with it."""
    balancers = aws.client("elbv2")
    for each in balancers.describe_listeners(LoadBalancerArn=there.id)["Listeners"]:
        balancers.delete_listener(ListenerArn=each["ListenerArn"])
    balancers.delete_load_balancer(LoadBalancerArn=there.id)


ROOTS: Mapping[str, Deed] = {
    "aws:appautoscaling/target:Target": does("application-autoscaling", "deregister_scalable_target", **PLACE),
    "aws:ec2/natGateway:NatGateway": does("ec2", "delete_nat_gateway", NatGatewayId="id"),
    "aws:ec2/eip:Eip": does("ec2", "release_address", AllocationId="id"),
    "aws:ecr/repository:Repository": does("ecr", "delete_repository", repositoryName="id", force="`true`"),
    "aws:ecs/service:Service": does("ecs", "delete_service", cluster="inputs.cluster", service="id", force="`true`"),
    "aws:elasticache/replicationGroup:ReplicationGroup": does(
        "elasticache", "delete_replication_group", ReplicationGroupId="id"
    ),
    "aws:iam/role:Role": end_role,
    "aws:lb/loadBalancer:LoadBalancer": end_balancer,
    "aws:s3/bucket:Bucket": does("s3", "delete_bucket", Bucket="id"),
    "aws:secretsmanager/secret:Secret": does(
        "secretsmanager", "delete_secret", SecretId="id", ForceDeleteWithoutRecovery="`true`"
    ),
}
UNDELETED: Mapping[str, str] = {
    "aws:ec2/internetGateway:InternetGateway": "AWS refuses while the VPC has public addresses",
    "aws:ec2/routeTable:RouteTable": "AWS refuses while subnets are associated",
    "aws:ec2/securityGroup:SecurityGroup": "AWS refuses while interfaces have it or rules name it",
    "aws:ec2/subnet:Subnet": "AWS refuses while interfaces are in it",
    "aws:ec2/vpc:Vpc": "AWS refuses while subnets are in it",
    "aws:ecs/cluster:Cluster": "AWS refuses while it has services",
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": "a setting of the cluster: fewer of them are a change",
    "aws:elasticache/parameterGroup:ParameterGroup": "AWS refuses while the cache uses it",
    "aws:elasticache/subnetGroup:SubnetGroup": "AWS refuses while the cache is in it",
    "aws:lb/targetGroup:TargetGroup": "AWS refuses while the listener forwards to it",
    "aws:secretsmanager/secretVersion:SecretVersion": "ends with its secret alone",
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": "AWS refuses while it has services",
    "aws:servicediscovery/service:Service": "AWS refuses while tasks are registered",
    "pulumi-python:dynamic/tidegate:FleetStop": UNCHANGED["pulumi-python:dynamic/tidegate:FleetStop"],
    "pulumi-python:dynamic/tidegate:SchedulerAddress": UNCHANGED["pulumi-python:dynamic/tidegate:SchedulerAddress"],
    "random:index/randomPassword:RandomPassword": STATE,
}

CHOSEN = {
    "aws:appautoscaling/policy:Policy": "tidegate-dev-api-by-cpu",
    "aws:ec2/route:Route": "tidegate-dev-vpc-private-2",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "tidegate-dev-autoscaler-images-kept",
    "aws:ecr/repository:Repository": "tidegate-dev-api-images",
    "aws:ecs/service:Service": "tidegate-dev-autoscaler",
    "aws:ecs/taskDefinition:TaskDefinition": "tidegate-dev-worker",
    "aws:iam/role:Role": "tidegate-dev-worker-execution",
    "aws:iam/rolePolicy:RolePolicy": "tidegate-dev-api-task",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "tidegate-dev-worker-https",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "tidegate-dev-users-balancer-80-0",
    "docker-build:index:Image": "tidegate-dev-worker-image",
}
"""Of kinds with several resources, the one that somebody touches; of others the first."""


def resources(stack: Stack) -> list[There]:
    """What the state has that is not a component or a provider."""
    found = stack.export("--show-secrets")["deployment"]["resources"]
    return [
        There(each["urn"], each["id"], each.get("inputs", {}), each.get("outputs", {}))
        for each in found
        if each["custom"] and not each["type"].startswith("pulumi:providers:")
    ]


def chosen(stack: Stack) -> dict[str, There]:
    """One resource of each kind."""
    found: dict[str, There] = {}
    for each in sorted(resources(stack), key=lambda there: there.urn):
        token, name = token_of(each.urn), each.urn.rpartition("::")[2]
        if name == CHOSEN.get(token, name):
            found.setdefault(token, each)
    return found


def test_every_kind_of_the_stack_is_tried_or_has_a_reason(development: Stack) -> None:
    found = chosen(development).keys()
    assert found == {token_of(each.urn) for each in resources(development)}
    for lists in ((CHANGES, UNCHANGED), (LEAVES, ROOTS, UNDELETED)):
        names = [name for each in lists for name in each]
        assert len(names) == len(set(names)), "in one list each"
        assert set(names) == found


def drift(stack: Stack) -> dict[str, str]:
    """What `up` would put right, components aside."""
    return {
        urn: op
        for urn, op in stack.preview("--refresh").items()
        if op != "refresh" and "tidegate:components:" not in token_of(urn)
    }


def test_what_somebody_changes_shows_and_is_put_right(development: Stack, aws: Cloud) -> None:
    somebodys = {token: each for token, each in chosen(development).items() if token in CHANGES}
    for token, there in somebodys.items():
        CHANGES[token](aws, there)
    assert drift(development) == {each.urn: "update" for each in somebodys.values()}
    development.up("--refresh")
    assert drift(development) == {}


def is_there(there: There) -> bool:
    """Whether AWS has it."""
    return Plugin._found(KINDS[token_of(there.urn)], there.id, dict(there.outputs)) is not None


@pytest.mark.parametrize("deeds", [LEAVES, ROOTS], ids=["leaves", "roots"])
def test_what_somebody_deletes_is_made_again(development: Stack, at_moto: Cloud, deeds: Mapping[str, Deed]) -> None:
    before = chosen(development)
    for token, deed in deeds.items():
        deed(at_moto, before[token])
    assert {token for token in deeds if is_there(before[token])} == set()
    development.up("--refresh")
    after = chosen(development)
    assert {token for token in deeds if not is_there(after[token])} == set()
    assert {token: after[token].urn for token in deeds} == {token: before[token].urn for token in deeds}
    assert drift(development) == {}
