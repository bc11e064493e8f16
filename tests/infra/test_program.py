"""The whole program: what it makes, in which order, who may talk to whom, what services are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from infra.components.api import KEEP_ALIVE_S, STOP_S
from infra.components.balancer import DEREGISTRATION_S, IDLE_S
from infra.dashboard import NAMESPACE
from infra.fargate import SIZES
from infra.policies import WITHOUT_RESOURCE
from infra.policy.rules import violations
from infra.settings import ConfigError, read
from services.api.emitted import EMITTED as API_METRICS
from services.api.settings import ApiSettings
from services.autoscaler.emitted import EMITTED as AUTOSCALER_METRICS
from services.autoscaler.fleet.ecs_task import COMPONENT, COMPONENT_TAG
from services.autoscaler.settings import AutoscalerSettings
from services.compute.settings import ComputeSettings, LogSettings, MetricsSettings, RedisSettings, SchedulerSettings
from services.worker.settings import SchedulerProcessSettings, WorkerSettings
from tests.infra.checks import check
from tests.infra.program import (
    COMBINATIONS,
    DEVELOPMENT,
    PRODUCTION,
    container,
    graph_of,
    run,
    seen,
    task_definition,
    variables,
)
from tests.infra.recording import Graph

EMITTED = {
    NAMESPACE: {
        name: frozenset(frozenset(dimensions) for dimensions in sets)
        for table in (API_METRICS, AUTOSCALER_METRICS)
        for name, (_, sets) in table.items()
    }
}
SERVICES: Mapping[str, tuple[type[BaseModel], ...]] = {
    "api": (ApiSettings, MetricsSettings),
    "autoscaler": (
        AutoscalerSettings,
        ComputeSettings,
        LogSettings,
        MetricsSettings,
        RedisSettings,
        SchedulerSettings,
    ),
    "scheduler": (SchedulerProcessSettings, SchedulerSettings, ComputeSettings, LogSettings),
    "worker": (WorkerSettings, SchedulerSettings, ComputeSettings, LogSettings, RedisSettings),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_nothing_in_it_is_wrong(name: str) -> None:
    graph = graph_of(name)
    assert check(graph, EMITTED, reasons=WITHOUT_RESOURCE) == []
    assert violations(seen(graph)) == []


sizes = st.sampled_from([(cpu, memory) for cpu, memories in SIZES.items() for memory in memories])


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, str]:
    """Settings that may or may not go together."""
    choices = {
        "tier": st.sampled_from(["development", "production"]),
        "nat": st.sampled_from(["none", "single", "per-zone"]),
        "availabilityZones": st.integers(2, 3).map(str),
        "zoneMask": st.integers(18, 22).map(str),
        "platform": st.sampled_from(["linux/amd64", "linux/arm64"]),
        "workersMin": st.integers(0, 5).map(str),
        "workersMax": st.integers(1, 300).map(str),
        "cacheEngine": st.sampled_from(["valkey", "redis"]),
        "cacheReplicas": st.integers(0, 3).map(str),
        **{key: st.sampled_from(["true", "false"]) for key in ("sharedFiles", "daskTls", "internal", "useSpot")},
        "logDays": st.sampled_from(["1", "30", "3653"]),
        "alarmEmail": st.just("ops@example.com"),
    }
    made = {key: draw(values) for key, values in choices.items() if draw(st.booleans())}
    if draw(st.booleans()):
        cpu, memory = draw(sizes)
        made |= {"workerCpu": str(cpu), "workerMemory": str(memory)}
    if draw(st.booleans()):
        made |= {"domain": "a.example.org", "hostedZone": "Z0123456789ABC"}
    return made


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks(), st.sampled_from(["dev", "a-stack-with-quite-a-long-name-indeed", "Prod_2"]))
def test_nothing_is_wrong_in_any_stack(chosen: dict[str, str], stack: str) -> None:
    try:
        read({f"tidegate:{key}": value for key, value in chosen.items()})
    except ConfigError:
        return
    graph = run(chosen, stack=stack)
    assert check(graph, EMITTED, reasons=WITHOUT_RESOURCE) == []
    assert violations(seen(graph)) == []


@pytest.mark.parametrize("name", ["development", "production", "no NAT"])
def test_a_preview_of_what_does_not_exist_works_too(name: str) -> None:
    graph = run(COMBINATIONS[name], preview=True)
    assert {each.urn for each in graph.resources} == {each.urn for each in graph_of(name).resources}
    assert violations(seen(graph)) == []


# Who may talk to whom.


def rules(graph: Graph, way: str) -> set[tuple[str, str, int | None, int | None]]:
    """Rules as (own group, other side, first port, last port)."""
    names = {each.id: each.name.removeprefix("tidegate-dev-").removesuffix("-sg") for each in graph.resources}
    found = set()
    for each in graph.of(f"aws:vpc/securityGroup{way}Rule:SecurityGroup{way}Rule"):
        inputs = each.inputs
        other = inputs.get("referencedSecurityGroupId")
        side = names[other] if other else inputs.get("cidrIpv4") or "S3"
        ports = [None if inputs.get(key) is None else int(inputs[key]) for key in ("fromPort", "toPort")]
        found.add((names[inputs["securityGroupId"]], side, ports[0], ports[1]))
    return found


PAIRS = {
    ("balancer", "api", 8000, 8000),
    ("api", "scheduler", 8786, 8786),
    ("worker", "scheduler", 8786, 8786),
    ("autoscaler", "scheduler", 8786, 8786),
    ("api", "cache", 6379, 6379),
    ("worker", "cache", 6379, 6379),
    ("autoscaler", "cache", 6379, 6379),
    ("worker", "worker", 9000, 9099),
    ("scheduler", "worker", 9000, 9099),
}
TASKS = ("api", "scheduler", "worker", "autoscaler")


def turned(pairs: set[tuple[str, str, int, int]]) -> set[tuple[str, str, int, int]]:
    return {(target, source, first, last) for source, target, first, last in pairs}


def test_only_pairs_that_talk_have_rules() -> None:
    graph = graph_of("development")
    assert rules(graph, "Ingress") == turned(PAIRS) | {("balancer", "0.0.0.0/0", 80, 80)}
    out = {(task, side, 443, 443) for task in TASKS for side in ("0.0.0.0/0", "S3")}
    assert rules(graph, "Egress") == PAIRS | out


def test_without_nat_tasks_reach_endpoints_and_nothing_else() -> None:
    graph = graph_of("no NAT")
    endpoints = {(task, "endpoints", 443, 443) for task in TASKS}
    assert rules(graph, "Egress") == PAIRS | endpoints | {(task, "S3", 443, 443) for task in TASKS}
    assert rules(graph, "Ingress") == turned(PAIRS | endpoints) | {("balancer", "0.0.0.0/0", 80, 80)}
    services = {each.inputs["serviceName"].rpartition("us-east-1.")[2] for each in graph.of("VpcEndpoint")}
    assert services == {
        "ecr.api", "ecr.dkr", "logs", "secretsmanager", "ecs", "ssmmessages", "servicequotas",
    }  # fmt: skip


def test_files_and_further_egress_are_the_workers_alone() -> None:
    more = rules(graph_of("shared files"), "Egress") - rules(graph_of("development"), "Egress")
    assert more == {("worker", "files", 2049, 2049), ("worker", "10.20.0.0/16", None, None)}


# Orders that data flow does not give.


@pytest.mark.parametrize("name", ["development", "production", "no NAT", "shared files"])
def test_what_must_be_there_first_is(name: str) -> None:
    graph = graph_of(name)
    services = graph.of("aws:ecs/service:Service")
    assert len(services) == 3
    capacity = graph.one("ClusterCapacityProviders")
    for service in services:
        assert graph.before(capacity, service)
        assert graph.before(graph.one("awsx:ec2:Vpc"), service)
        assert all(graph.before(each, service) for each in graph.of("VpcEndpoint"))
        assert graph.before(graph.one("SecretVersion", "tidegate-dev-cache-auth-value"), service)
        part = service.name.removeprefix("tidegate-dev-")
        for policy in graph.of("aws:iam/rolePolicy:RolePolicy"):
            if policy.name.startswith(f"tidegate-dev-{part}-"):
                assert graph.before(policy, service), policy.name
    api = graph.one("aws:ecs/service:Service", "tidegate-dev-api")
    assert all(graph.before(each, api) for each in graph.of("aws:lb/listener:Listener"))
    autoscaler = graph.one("aws:ecs/service:Service", "tidegate-dev-autoscaler")
    assert all(graph.before(each, autoscaler) for each in graph.of("MountTarget"))
    assert graph.before(graph.one("SchedulerAddress"), autoscaler)
    assert not graph.before(graph.one("SchedulerAddress"), api), "a replaced scheduler changes nothing of the API"


def test_the_schedulers_address_is_the_autoscalers_alone() -> None:
    graph = graph_of("development")
    address = graph.one("SchedulerAddress")
    name = "tcp://scheduler.tidegate-dev.internal:8786"
    assert variables(graph, "api")["SCHEDULER_ADDRESS"] == name
    assert variables(graph, "worker")["SCHEDULER_ADDRESS"] == name
    assert variables(graph, "autoscaler")["SCHEDULER_FALLBACK"] == name
    assert variables(graph, "autoscaler")["SCHEDULER_ADDRESS"] == address.outputs["address"] != name
    for service in ("api", "worker"):
        assert not graph.before(address, task_definition(graph, service))
    assert (
        address.inputs["task_definition"]
        == graph.one("aws:ecs/service:Service", "tidegate-dev-scheduler").inputs["taskDefinition"]
    )


# What services are told.


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_services_know_all_that_they_are_told(name: str, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(name)
    given_ = variables(graph, service)
    secret = {each["name"] for each in container(graph, service)["secrets"]} - {"API_ADMIN_KEY"}
    assert given_.pop("AWS_DEFAULT_REGION") == "us-east-1"
    known = {field.upper() for model in SERVICES[service] for field in model.model_fields}
    assert {*given_, *secret} <= known
    pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    for variable, value in {**given_, **dict.fromkeys(secret, pem)}.items():
        monkeypatch.setenv(variable, value)
    for model in SERVICES[service]:
        model()


def test_with_tls_inside_all_addresses_and_members_have_it() -> None:
    graph = graph_of("TLS inside")
    for service in SERVICES:
        secret = {each["name"] for each in container(graph, service)["secrets"]}
        assert {"DASK_TLS_CA", "DASK_TLS_CERT", "DASK_TLS_KEY"} <= secret
        for variable in ("SCHEDULER_ADDRESS", "SCHEDULER_FALLBACK"):
            assert variables(graph, service).get(variable, "tls://").startswith("tls://")
    assert graph.one("SchedulerAddress").inputs["scheme"] == "tls"


@pytest.mark.parametrize("name", ["production", "TLS inside"])
def test_no_secret_is_in_the_clear(name: str) -> None:
    graph = graph_of(name)
    values = {
        str(each.outputs[key])
        for each in graph.resources
        for key in ("result", "privateKeyPem")
        if each.outputs.get(key)
    }
    assert len(values) >= 4
    for each in graph.resources:
        for path, value in leaves(each.inputs):
            hidden = any(path[: len(secret)] == secret for secret in each.secrets)
            assert hidden or not any(known in str(value) for known in values), f"{each.where}: {path}"
    assert not any(known in json.dumps(dict(graph.exports), default=str) for known in values)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, Mapping):
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*path, key))]
    if isinstance(value, (list, tuple)):
        return [leaf for number, inner in enumerate(value) for leaf in leaves(inner, (*path, number))]
    return [(path, value)]


def test_connections_end_in_the_right_order() -> None:
    longest_wait, heartbeat = 30, 15
    assert KEEP_ALIVE_S > IDLE_S > longest_wait > heartbeat
    graph = graph_of("development")
    assert variables(graph, "api")["API_KEEP_ALIVE"] == str(KEEP_ALIVE_S)
    assert container(graph, "api")["stopTimeout"] == STOP_S > DEREGISTRATION_S
    assert graph.one("LoadBalancer").inputs["idleTimeout"] == IDLE_S
    assert container(graph, "worker")["stopTimeout"] == 120


# The tiers.


def test_development_is_cheap_and_says_that_it_is_in_the_clear() -> None:
    graph = run(DEVELOPMENT)
    cache_ = graph.one("ReplicationGroup").inputs
    assert (cache_["numCacheClusters"], cache_["automaticFailoverEnabled"], cache_["engine"]) == (1, False, "valkey")
    assert any("in the clear" in text for text in graph.warnings)
    assert graph.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is True


def test_production_keeps_its_data_and_is_reached_by_https() -> None:
    graph = run(PRODUCTION, stack="prod")
    cache_ = graph.one("ReplicationGroup").inputs
    assert (cache_["numCacheClusters"], cache_["multiAzEnabled"], cache_["snapshotRetentionLimit"]) == (2, True, 7)
    ports = {each.inputs["port"]: each.inputs["protocol"] for each in graph.of("aws:lb/listener:Listener")}
    assert ports == {443: "HTTPS", 80: "HTTP"}
    assert graph.exports["api_url"] == "https://compute.example.com"
    assert graph.warnings == []
    service = graph.one("aws:ecs/service:Service", "tidegate-prod-api")
    assert service.inputs["desiredCount"] == 2
    assert service.options.ignore_changes == ("desiredCount",)
    assert {each.inputs["alarmActions"][0] for each in graph.of("MetricAlarm")} == {graph.one("Topic").outputs["arn"]}


def test_the_scheduler_is_never_there_twice() -> None:
    inputs = graph_of("development").one("aws:ecs/service:Service", "tidegate-dev-scheduler").inputs
    assert inputs["deploymentMinimumHealthyPercent"] == 0
    assert inputs["deploymentMaximumPercent"] == 100
    assert inputs["waitForSteadyState"] is False


def test_a_destroy_stops_the_fleet_while_all_that_it_needs_is_there() -> None:
    graph = graph_of("development")
    (fleet,) = graph.of("FleetStop")
    (providers,) = graph.of("aws:ecs/clusterCapacityProviders:ClusterCapacityProviders")
    assert graph.before(providers, fleet)
    assert fleet.inputs["timeout"] > 300
    service = graph.one("aws:ecs/service:Service", "tidegate-dev-autoscaler")
    assert graph.before(fleet, service)
    assert fleet.inputs["fleet_name"] == variables(graph, "autoscaler")["FLEET_NAME"]
    assert fleet.inputs["cluster"] == variables(graph, "autoscaler")["ECS_CLUSTER"]


def test_services_start_when_they_may_talk() -> None:
    graph = graph_of("no NAT")
    rules = [each for kind in ("Ingress", "Egress") for each in graph.of(f"SecurityGroup{kind}Rule")]
    assert len(rules) > 20
    for service in graph.of("aws:ecs/service:Service"):
        assert all(graph.before(rule, service) for rule in rules)


def test_workers_bear_one_tag_of_their_component() -> None:
    tags = task_definition(graph_of("development"), "worker").inputs["tags"]
    assert tags[COMPONENT_TAG] == COMPONENT, "ECS gives a task its definition's tags too, and the autoscaler's own"


def test_old_revisions_stay_so_that_a_rollback_finds_them() -> None:
    for definition in graph_of("development").of("aws:ecs/taskDefinition:TaskDefinition"):
        assert definition.inputs["skipDestroy"] is True


def test_the_caches_version_changes_by_the_program_alone() -> None:
    assert graph_of("development").one("ReplicationGroup").inputs["autoMinorVersionUpgrade"] is False


def test_images_are_built_for_the_platform_and_tagged_by_content() -> None:
    graph = graph_of("ARM")
    images = graph.of("awsx:ecr:Image")
    assert {each.inputs["platform"] for each in images} == {"linux/arm64"}
    tags = {each.inputs["imageTag"] for each in images}
    assert len(tags) == 3
    assert tags.isdisjoint(each.inputs["imageTag"] for each in graph_of("development").of("awsx:ecr:Image"))
    assert not any(each.inputs["context"].startswith("/") for each in images)
    assert task_definition(graph, "worker").inputs["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert graph_of("given images").of("aws:ecr/repository:Repository") == []


def test_an_authors_package_is_built_into_the_images_that_compute() -> None:
    plain, graph = graph_of("development"), graph_of("an author's package")
    for image in graph.of("awsx:ecr:Image"):
        arguments = {} if "autoscaler" in image.name else {"COMPUTATIONS": "mine==1.2"}
        assert image.inputs.get("args", {}) == arguments
        same = plain.one("awsx:ecr:Image", image.name).inputs["imageTag"] == image.inputs["imageTag"]
        assert same == (not arguments)


def test_more_zones_than_the_region_has_are_refused_before_anything_exists() -> None:
    with pytest.raises(SystemExit):
        run({"availabilityZones": "4", "zoneMask": "20"})


def test_the_program_says_what_operators_need() -> None:
    assert {*graph_of("development").exports} == {
        "api_url", "scheduler_address", "cluster", "log_groups", "dashboard_url", "images", "results_bucket",
        "admin_key_secret",
    }  # fmt: skip
