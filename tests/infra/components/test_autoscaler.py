"""The autoscaler: what it asks ECS for is there and allowed, and the end of its fleet means the same fleet."""

from __future__ import annotations

from infra.dynamic.fleet_stop import timeout_for
from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.model import Capacity, Launch
from services.autoscaler.permissions import PERMISSIONS
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs import Definition, FakeEcs
from tests.infra.components.stacks import (
    Stacks,
    allowed,
    containers,
    group_id,
    private_subnets,
    services,
    task_definitions,
    variables,
)
from tests.infra.graph import Graph
from tests.infra.program import COMBINATIONS


def settings_of(graph: Graph) -> EcsSettings:
    """Settings of the fleet as the autoscaler's container gets them."""
    told = {name.lower(): value for name, value in variables(containers(graph)["autoscaler"]).items()}
    return EcsSettings(**{name: told[name] for name in EcsSettings.model_fields if name in told})  # type: ignore[arg-type]


def test_the_end_of_the_fleet_has_time_for_all_workers(stack: Stacks) -> None:
    for name, workers in (("development", 20), ("production", 100)):
        assert int(COMBINATIONS[name].get("workersMax", "20")) == workers
        assert stack(name).one("FleetStop").inputs["timeout"] >= timeout_for(workers)


def test_workers_get_the_definitions_tags_and_are_known_as_the_fleets(stack: Stacks) -> None:
    graph = stack("development")
    definition = task_definitions(graph)["worker"]
    tags = definition.inputs["tags"]
    family, revision = definition.inputs["family"], int(definition.outputs["revision"])
    settings = settings_of(graph)
    cluster = graph.one("aws:ecs/cluster:Cluster").inputs["name"]
    ecs = FakeEcs(lambda: 1e6, definitions=[Definition(family, revision, tags=tags)], cluster=cluster)
    fleet = EcsFleet(ecs, settings, lambda: 1e6)
    (started,) = fleet.launch(Launch("token", 1, Capacity.SPOT, settings.revision, 1e6)).ids
    (task,) = ecs.describe_tasks(cluster=settings.ecs_cluster, tasks=[started], include=["TAGS"])["tasks"]
    assert tags.items() <= {tag["key"]: tag["value"] for tag in task["tags"]}.items(), "costs are allocated by them"
    assert [machine.id for machine in fleet.observe([started]).machines] == [started]


def test_the_end_of_the_fleet_means_the_autoscalers_own(stack: Stacks) -> None:
    for name in ("development", "production"):
        graph = stack(name)
        told, end = variables(containers(graph)["autoscaler"]), graph.one("FleetStop").inputs
        assert end["fleet_name"] == told["FLEET_NAME"]
        assert end["cluster"] == told["ECS_CLUSTER"] == graph.one("aws:ecs/cluster:Cluster").outputs["arn"]
        assert end["region"] == told["AWS_DEFAULT_REGION"]


def test_workers_are_started_in_private_subnets_under_their_own_group(stack: Stacks) -> None:
    for name in ("development", "no NAT", "three zones"):
        graph = stack(name)
        told = variables(containers(graph)["autoscaler"])
        assert told["WORKER_SUBNETS"].split(",") == private_subnets(graph)
        assert told["WORKER_SECURITY_GROUPS"] == group_id(graph, "worker")
        assert told.get("WORKER_PUBLIC_IP", "false") == "false"
        assert told["WORKER_TASK_DEFINITION"] == task_definitions(graph)["worker"].outputs["arn"]


def test_its_role_allows_what_its_own_list_says_on_this_stacks_workers(stack: Stacks) -> None:
    graph = stack("development")
    definitions = task_definitions(graph)
    may = allowed(graph, definitions["autoscaler"].inputs["taskRoleArn"])
    assert may.keys() == {permission.action for permission in PERMISSIONS}
    worker = definitions["worker"]
    assert may["ecs:RunTask"] == {f"{worker.outputs['arnWithoutRevision']}:*"}
    assert may["iam:PassRole"] == {worker.inputs["taskRoleArn"], worker.inputs["executionRoleArn"]}
    cluster = graph.one("aws:ecs/cluster:Cluster").outputs["arn"]
    assert may["ecs:StopTask"] == {f"{cluster.replace(':cluster/', ':task/')}/*"}


def test_metrics_are_written_as_log_lines_under_the_name_that_alarms_look_for(stack: Stacks) -> None:
    graph = stack("development")
    stacks = {
        each.inputs["dimensions"]["Stack"] for each in graph.of("MetricAlarm") if each.inputs["namespace"] == "Tidegate"
    }
    assert len(stacks) == 1
    for service in ("api", "autoscaler"):
        told = variables(containers(graph)[service])
        assert told["METRICS_EMF"] == "true", service
        assert {told["METRICS_STACK"]} == stacks


def test_a_deployment_that_fails_is_rolled_back(stack: Stacks) -> None:
    graph = stack("development")
    for part in ("api", "autoscaler"):
        service = services(graph)[part].inputs
        assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert service["deploymentMinimumHealthyPercent"] == 100
        assert task_definitions(graph)[part].inputs["skipDestroy"] is True, "or there is nothing to roll back to"
