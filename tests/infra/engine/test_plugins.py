"""The plugins are honest: what they say moto drops is dropped, and they refuse what AWS would refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jmespath
import pytest
from moto.ecs.models import EC2ContainerServiceBackend

from tests.infra.engine import kind as kinds
from tests.infra.engine.harness import Cloud, Stack
from tests.infra.engine.kind import Kind, Refused, like
from tests.infra.engine.plugin import token_of
from tests.infra.engine.tables import KINDS

NOT_TOLD = "`null`"
"""Of these AWS itself tells nothing: they are instructions to Pulumi's provider, or secrets."""


def test_what_is_said_to_be_dropped_is_dropped(development: Stack, at_moto: Cloud) -> None:
    resources = development.export("--show-secrets")["deployment"]["resources"]
    proven: set[tuple[str, str]] = set()
    claimed: set[tuple[str, str]] = set()
    for resource in resources:
        kind = KINDS.get(token_of(resource["urn"]))
        if kind is None or "id" not in resource:
            continue
        for name, path in kind.dropped.items():
            if path == NOT_TOLD or name not in resource.get("inputs", {}):
                continue
            claimed.add((token_of(resource["urn"]), name))
            found = jmespath.search(path, kind.raw(resource["id"], resource["outputs"]))
            if kinds.whole(found) != kinds.whole(resource["inputs"][name]):
                proven.add((token_of(resource["urn"]), name))
    nodes = ("aws:elasticache/replicationGroup:ReplicationGroup", "numCacheClusters")
    claimed -= {nodes}  # one, which is what moto makes of any number: see below
    assert claimed
    assert claimed == proven, f"moto keeps these now: let Read take them from it: {sorted(claimed - proven)}"


def test_moto_makes_one_node_of_any_number(aws: Cloud) -> None:
    client = aws.client("elasticache")
    made = client.create_replication_group(
        ReplicationGroupId="two",
        ReplicationGroupDescription="x",
        NumCacheClusters=2,
        CacheNodeType="cache.t4g.small",
        AutomaticFailoverEnabled=True,
    )["ReplicationGroup"]
    assert len(made.get("MemberClusters", [])) == 1
    client.delete_replication_group(ReplicationGroupId="two")


def test_moto_lists_tasks_of_other_services_too(development: Stack) -> None:
    """Hence the addition, with which it does not."""
    plain: Any = EC2ContainerServiceBackend("us-east-1", "123456789012")
    plain.tasks = {"some": {"arn": SimpleNamespace(group="service:some")}}
    assert plain.list_tasks(service_name="other"), "moto heeds serviceName now: take the addition out"
    ecs = development.cloud.client("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    for arn in ecs.list_services(cluster=cluster)["serviceArns"]:
        name = arn.rpartition("/")[2]
        tasks = ecs.list_tasks(cluster=cluster, serviceName=name)["taskArns"]
        groups = {each["group"] for each in ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"]}
        assert groups == {f"service:{name}"}


def refuse(token: str, **inputs: Any) -> str:
    kind: Kind = KINDS[token]
    with pytest.raises(Refused) as refused:
        kind.refuse(inputs)
    return str(refused.value)


def test_fargate_pairs() -> None:
    assert "512 to 2048" in refuse("aws:ecs/taskDefinition:TaskDefinition", cpu="256", memory="4096")


def test_caches_that_cannot_be() -> None:
    token = "aws:elasticache/replicationGroup:ReplicationGroup"
    assert "transitEncryption" in refuse(token, authToken="x" * 20)
    assert "16 to 128" in refuse(token, authToken="short", transitEncryptionEnabled=True)
    assert "automaticFailover" in refuse(token, multiAzEnabled=True)
    assert "replica" in refuse(token, automaticFailoverEnabled=True, numCacheClusters=1.0)


def test_services_of_what_is_not_there(development: Stack, at_moto: Cloud) -> None:
    ecs = at_moto.client("ecs")
    container = {"name": "x", "image": "x", "memory": 128}
    made = ecs.register_task_definition(family="old", containerDefinitions=[container])["taskDefinition"][
        "taskDefinitionArn"
    ]
    ecs.deregister_task_definition(taskDefinition=made)
    assert "INACTIVE" in refuse("aws:ecs/service:Service", taskDefinition=made)
    lb = at_moto.client("elbv2")
    (vpc, *_) = at_moto.client("ec2").describe_vpcs()["Vpcs"]
    group = lb.create_target_group(Name="loose", Protocol="HTTP", Port=80, VpcId=vpc["VpcId"], TargetType="ip")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    from tests.infra.engine.containers import check_targets

    with pytest.raises(Refused, match="does not have an associated load balancer"):
        check_targets({"loadBalancers": [{"targetGroupArn": arn}]})
    lb.delete_target_group(TargetGroupArn=arn)


def test_private_endpoints_without_host_names(development: Stack, at_moto: Cloud) -> None:
    ec2 = at_moto.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert "enableDnsHostnames" in refuse("aws:ec2/vpcEndpoint:VpcEndpoint", vpcId=vpc, privateDnsEnabled=True)
    ec2.delete_vpc(VpcId=vpc)


def test_clusters_and_repositories_in_use(development: Stack, at_moto: Cloud) -> None:
    from tests.infra.engine.containers import delete_cluster, delete_repository

    (cluster,) = at_moto.client("ecs").list_clusters()["clusterArns"]
    with pytest.raises(Refused, match="ClusterContainsTasks"):
        delete_cluster(cluster, {})
    with pytest.raises(Refused, match="RepositoryNotEmpty"):
        delete_repository("tidegate/dev/api", {"forceDelete": False})


def test_names_that_are_too_long_and_tags_that_are_taken(development: Stack, at_moto: Cloud) -> None:
    assert KINDS["aws:lb/targetGroup:TargetGroup"].longest == 32
    assert KINDS["aws:iam/role:Role"].longest == 64
    push = KINDS["docker-build:index:Image"].create
    ecr = at_moto.client("ecr")
    (image, *_) = ecr.describe_images(repositoryName="tidegate/dev/api")["imageDetails"]
    url = ecr.describe_repositories(repositoryNames=["tidegate/dev/api"])["repositories"][0]["repositoryUri"]
    with pytest.raises(Refused, match="ImageTagAlreadyExists"):
        push({"tags": [f"{url}:{image['imageTags'][0]}"], "buildArgs": {"COMPUTATIONS": "other"}})


@pytest.mark.parametrize(
    ("known", "found", "seen"),
    [
        ({"a": 1.0}, {"a": 1, "b": 2}, {"a": 1.0}),
        (["x", "y"], ["y", "x"], ["x", "y"]),
        (["x", "y"], ["x", "z"], ["x", "z"]),
        ('{"a": [1]}', '{"a":[1]}', '{"a": [1]}'),
        ('{"a": [1]}', '{"a":[2]}', '{"a":[2]}'),
        ([{"name": "a", "value": "1"}], [{"name": "a", "value": "2", "more": 1}], [{"name": "a", "value": "2"}]),
        ("x", None, None),
    ],
)
def test_what_is_read_is_compared_by_what_it_means(known: Any, found: Any, seen: Any) -> None:
    assert like(known, found) == seen
