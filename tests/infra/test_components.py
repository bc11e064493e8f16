"""What each component must say to AWS, by the resources that the whole program records."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from infra.components.task import EXEC_SCRATCH, SCRATCH
from services.autoscaler.model import Capacity
from tests.infra.graph import Graph, Recorded
from tests.infra.program import COMBINATIONS, container, run, task_definition, variables

SERVICES = ("api", "scheduler", "autoscaler")
TASKS = (*SERVICES, "worker")


@cache
def graph_of(name: str) -> Graph:
    return run(COMBINATIONS[name])


def service(graph: Graph, name: str) -> Recorded:
    return graph.one("aws:ecs/service:Service", f"tidegate-dev-{name}")


def statements(graph: Graph, role: str) -> list[dict[str, Any]]:
    policy = graph.one("aws:iam/rolePolicy:RolePolicy", f"tidegate-dev-{role}")
    return list(json.loads(policy.inputs["policy"])["Statement"])


def allowed(graph: Graph, role: str, action: str) -> set[str]:
    """Resources on which a role may do something."""
    found = [each for each in statements(graph, role) if action in each["Action"]]
    return {resource for each in found for resource in each["Resource"]}


# Network and names.


def test_the_network_has_names_for_hosts() -> None:
    vpc = graph_of("development").one("awsx:ec2:Vpc").inputs
    assert vpc["enableDnsHostnames"] is True
    assert vpc["enableDnsSupport"] is True


def test_endpoints_answer_under_awss_own_names() -> None:
    endpoints = graph_of("no NAT").of("aws:ec2/vpcEndpoint:VpcEndpoint")
    names = {each.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1.") for each in endpoints}
    assert names == {"ecr.api", "ecr.dkr", "logs", "secretsmanager", "ecs", "ssmmessages", "servicequotas"}
    assert all(each.inputs["privateDnsEnabled"] is True for each in endpoints)


def test_a_new_scheduler_is_found_within_seconds() -> None:
    (record,) = graph_of("development").one("aws:servicediscovery/service:Service").inputs["dnsConfig"]["dnsRecords"]
    assert (record["type"], record["ttl"]) == ("A", 10)


# Data.


def test_the_cache_evicts_results_alone_and_wants_a_password() -> None:
    graph = graph_of("development")
    parameters = graph.one("aws:elasticache/parameterGroup:ParameterGroup").inputs["parameters"]
    assert {"name": "maxmemory-policy", "value": "volatile-lru"} in parameters
    cache_ = graph.one("aws:elasticache/replicationGroup:ReplicationGroup").inputs
    assert cache_["authToken"]
    assert cache_["authToken"] == graph.one("SecretVersion", "tidegate-dev-cache-auth-value").inputs["secretString"]
    assert cache_["transitEncryptionEnabled"] is True
    assert cache_["parameterGroupName"]


def test_results_expire_and_are_nobodys_but_ours() -> None:
    graph = graph_of("development")
    (rule,) = graph.one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule["expiration"]["days"] > 0
    block = graph.one("BucketPublicAccessBlock").inputs
    assert all(block[key] is True for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls"))
    assert block["restrictPublicBuckets"] is True


def test_tags_of_images_never_move() -> None:
    for repository in graph_of("development").of("aws:ecr/repository:Repository"):
        assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
        assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}


def test_shared_files_are_reached_by_role() -> None:
    graph = graph_of("shared files")
    (files,) = [each for each in task_definition(graph, "worker").inputs["volumes"] if each["name"] == "files"]
    config = files["efsVolumeConfiguration"]
    assert config["transitEncryption"] == "ENABLED"
    assert config["authorizationConfig"]["iam"] == "ENABLED"
    assert config["authorizationConfig"]["accessPointId"]


# The cluster.


def test_insights_have_a_log_group_with_retention_before_ecs_makes_one_without() -> None:
    graph = run({**COMBINATIONS["development"], "containerInsights": "true"})
    group = graph.one("aws:cloudwatch/logGroup:LogGroup", "tidegate-dev-insights")
    assert graph.before(group, graph.one("aws:ecs/cluster:Cluster"))
    assert group.inputs["retentionInDays"] > 0


def test_the_cluster_has_all_capacity_that_the_autoscaler_asks_for() -> None:
    providers = graph_of("development").one("ClusterCapacityProviders").inputs["capacityProviders"]
    assert set(providers) == {"FARGATE", "FARGATE_SPOT"}
    assert {each.name for each in Capacity} == {"SPOT", "ON_DEMAND"}


# Roles.


@pytest.mark.parametrize("name", TASKS)
def test_ecs_may_fetch_what_a_task_is_made_of_and_write_its_log(name: str) -> None:
    graph = graph_of("with a domain")
    told = container(graph, name)
    role = f"{name}-execution"
    secrets = {each["valueFrom"] for each in told["secrets"]}
    assert secrets <= allowed(graph, role, "secretsmanager:GetSecretValue")
    repository = told["image"].partition("/")[2].partition("@")[0].partition(":")[0]
    assert any(arn.endswith(f":repository/{repository}") for arn in allowed(graph, role, "ecr:BatchGetImage"))
    assert allowed(graph, role, "ecr:GetDownloadUrlForLayer")
    assert "*" in allowed(graph, role, "ecr:GetAuthorizationToken")
    group = told["logConfiguration"]["options"]["awslogs-group"]
    assert any(f":log-group:{group}:" in arn for arn in allowed(graph, role, "logs:PutLogEvents"))


def test_workers_write_results_and_the_api_reads_them() -> None:
    graph = graph_of("development")
    bucket = graph.one("aws:s3/bucket:Bucket").outputs["arn"]
    assert any(arn.startswith(f"{bucket}/") for arn in allowed(graph, "worker-task", "s3:PutObject"))
    assert any(arn.startswith(f"{bucket}/") for arn in allowed(graph, "api-task", "s3:GetObject"))
    assert not allowed(graph, "api-task", "s3:PutObject")


# Tasks and services.


@pytest.mark.parametrize("name", TASKS)
def test_containers_have_no_rights_and_a_place_to_write(name: str) -> None:
    told = container(graph_of("development"), name)
    assert told["readonlyRootFilesystem"] is True
    assert told["linuxParameters"] == {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}
    paths = {each["containerPath"] for each in told["mountPoints"]}
    assert paths == {*SCRATCH.values(), *(EXEC_SCRATCH.values() if name == "scheduler" else ())}
    assert not any(each["readOnly"] for each in told["mountPoints"])


@pytest.mark.parametrize("name", SERVICES)
def test_health_checks_ask_their_own_service(name: str) -> None:
    assert container(graph_of("development"), name)["healthCheck"]["command"][-2:] == ["services.probe", name]


def test_operators_have_a_shell_on_the_scheduler_alone() -> None:
    graph = graph_of("development")
    assert [name for name in SERVICES if service(graph, name).inputs.get("enableExecuteCommand")] == ["scheduler"]
    assert allowed(graph, "scheduler-task", "ssmmessages:OpenDataChannel")


@pytest.mark.parametrize("name", ["api", "autoscaler"])
def test_a_bad_deployment_is_rolled_back(name: str) -> None:
    assert service(graph_of("development"), name).inputs["deploymentCircuitBreaker"] == {
        "enable": True,
        "rollback": True,
    }


def test_everything_that_runs_is_in_private_subnets() -> None:
    graph = graph_of("development")
    vpc = graph.one("awsx:ec2:Vpc").outputs
    for name in SERVICES:
        assert service(graph, name).inputs["networkConfiguration"]["subnets"] == vpc["privateSubnetIds"]
    assert variables(graph, "autoscaler")["WORKER_SUBNETS"].split(",") == vpc["privateSubnetIds"]


@pytest.mark.parametrize("name", ["api", "autoscaler"])
def test_metrics_are_written_to_the_log(name: str) -> None:
    assert variables(graph_of("development"), name)["METRICS_EMF"] == "true"


# The way in.


def test_the_load_balancer_asks_whether_the_api_lives_not_whether_redis_does() -> None:
    check = graph_of("development").one("aws:lb/targetGroup:TargetGroup").inputs["healthCheck"]
    assert check["path"] == "/livez"


def test_plain_http_is_sent_to_https_under_a_validated_certificate() -> None:
    graph = graph_of("with a domain")
    by_port = {int(each.inputs["port"]): each for each in graph.of("aws:lb/listener:Listener")}
    (action,) = by_port[80].inputs["defaultActions"]
    assert action["type"] == "redirect"
    assert (action["redirect"]["protocol"], action["redirect"]["port"]) == ("HTTPS", "443")
    validation = graph.one("aws:acm/certificateValidation:CertificateValidation")
    assert graph.before(validation, by_port[443])


# TLS inside, alarms.


def test_the_authority_is_one_and_signs_the_certificate() -> None:
    graph = graph_of("TLS inside")
    authority = graph.one("tls:index/selfSignedCert:SelfSignedCert").inputs
    assert authority["isCaCertificate"] is True
    assert {"cert_signing"} <= set(authority["allowedUses"])
    assert {"server_auth", "client_auth"} <= set(graph.one("LocallySignedCert").inputs["allowedUses"])


def test_an_autoscaler_that_says_nothing_is_an_alarm() -> None:
    graph = graph_of("development")
    missing = {each.inputs["name"]: each.inputs["treatMissingData"] for each in graph.of("MetricAlarm")}
    silent = [name for name in missing if "autoscaler" in name]
    assert silent
    assert {missing[name] for name in silent} == {"breaching"}


def test_the_api_is_scaled_by_processor_and_by_requests() -> None:
    graph = graph_of("development")
    target = graph.one("aws:appautoscaling/target:Target").inputs
    assert (target["serviceNamespace"], target["scalableDimension"]) == ("ecs", "ecs:service:DesiredCount")
    configurations = [
        each.inputs["targetTrackingScalingPolicyConfiguration"]["predefinedMetricSpecification"]
        for each in graph.of("aws:appautoscaling/policy:Policy")
    ]
    metrics = {each["predefinedMetricType"] for each in configurations}
    assert metrics == {"ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"}


def test_the_scheduler_is_found_by_its_name() -> None:
    graph = graph_of("development")
    registry = graph.one("aws:servicediscovery/service:Service").outputs["arn"]
    assert service(graph, "scheduler").inputs["serviceRegistries"]["registryArn"] == registry
