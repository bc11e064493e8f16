"""The scheduler: never two, found by name, entered by operators, and waited for."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, containers, services, task_definitions


def test_there_is_one_on_demand_and_never_two(stack: Stacks) -> None:
    service = services(stack("development"))["scheduler"].inputs
    assert (service["desiredCount"], service["launchType"]) == (1, "FARGATE")
    assert (service["deploymentMinimumHealthyPercent"], service["deploymentMaximumPercent"]) == (0, 100)
    assert service["waitForSteadyState"] is False


def test_operators_reach_its_dashboard(stack: Stacks) -> None:
    assert services(stack("development"))["scheduler"].inputs.get("enableExecuteCommand") is True


def test_what_is_waited_for_is_the_task_that_the_service_runs(stack: Stacks) -> None:
    graph = stack("development")
    service, address = services(graph)["scheduler"], graph.one("SchedulerAddress").inputs
    assert address["cluster"] == service.inputs["cluster"]
    assert address["service"] == service.outputs["name"]
    assert address["task_definition"] == service.inputs["taskDefinition"]
    assert address["task_definition"] == task_definitions(graph)["scheduler"].outputs["arn"]
    container = containers(graph)["scheduler"]
    assert address["container"] == container["name"]
    assert "healthCheck" in container, "nobody would ever be healthy"
    assert address["port"] == container["portMappings"][0]["containerPort"]
    assert graph.before(service, graph.one("SchedulerAddress"))
