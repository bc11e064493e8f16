"""What all tasks have in common: roles that allow what the definition needs, a read-only root, revisions that stay."""

from __future__ import annotations

import re

from infra.components.task import EXEC_SCRATCH, SCRATCH, USER
from tests.infra.components.stacks import Stacks, allowed, containers, role, services, task_definitions
from tests.infra.mock_invokes import ACCOUNT

STACKS = ("development", "production", "given images", "images from elsewhere", "TLS inside")
SERVICES = {"api", "autoscaler", "scheduler", "worker"}
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)[:@].+")


def test_ecs_may_fetch_each_secret_that_a_container_gets_and_no_other(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        for service, definition in task_definitions(graph).items():
            secrets = {each["valueFrom"] for each in containers(graph)[service]["secrets"]}
            may = allowed(graph, definition.inputs["executionRoleArn"])
            assert may.get("secretsmanager:GetSecretValue", set()) == secrets, f"{name}: {service}"
        assert containers(graph)["api"]["secrets"]


def test_ecs_may_pull_each_image_from_where_it_is_and_nothing_else(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        for service, definition in task_definitions(graph).items():
            image = _ECR.fullmatch(containers(graph)[service]["image"])
            may = allowed(graph, definition.inputs["executionRoleArn"])
            where = "arn:aws:ecr:{region}:{account}:repository/{name}"
            repository = {where.format(**image.groupdict())} if image else set()
            assert bool(image) == (name != "images from elsewhere")
            assert [may.get(action, set()) for action in PULL] == [repository] * 3, f"{name}: {service}"
            assert may.get("ecr:GetAuthorizationToken", set()) == ({"*"} if image else set())


def test_ecs_may_write_each_containers_logs(stack: Stacks) -> None:
    graph = stack("development")
    groups = {each.inputs["name"]: each.outputs["arn"] for each in graph.of("aws:cloudwatch/logGroup:LogGroup")}
    for service, definition in task_definitions(graph).items():
        options = containers(graph)[service]["logConfiguration"]["options"]
        may = allowed(graph, definition.inputs["executionRoleArn"])
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert may.get(action) == {f"{groups[options['awslogs-group']]}:*"}
        assert options["mode"] == "non-blocking"


def test_roles_are_for_tasks_of_this_account(stack: Stacks) -> None:
    graph = stack("development")
    for definition in task_definitions(graph).values():
        arns = {definition.inputs["executionRoleArn"], definition.inputs["taskRoleArn"]}
        assert len(arns) == 2
        for arn in arns:
            trust = role(graph, arn).inputs["assumeRolePolicy"]
            assert "ecs-tasks.amazonaws.com" in trust
            assert ACCOUNT in trust


def test_the_root_is_read_only_and_all_that_is_written_to_is_mounted(stack: Stacks) -> None:
    graph = stack("development")
    for service, container in containers(graph).items():
        assert container["readonlyRootFilesystem"] is True, service
        assert container["user"] == USER
        mounts = {each["containerPath"]: each["readOnly"] for each in container["mountPoints"]}
        assert dict.fromkeys(SCRATCH.values(), False).items() <= mounts.items()
        assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}


def test_who_may_be_entered_by_exec_has_its_agents_paths_and_permissions(stack: Stacks) -> None:
    graph = stack("development")
    entered = {part for part, service in services(graph).items() if service.inputs.get("enableExecuteCommand")}
    assert entered == {"scheduler"}
    channels = {f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")}
    for service, definition in task_definitions(graph).items():
        may = channels & allowed(graph, definition.inputs["taskRoleArn"]).keys()
        paths = {each["containerPath"] for each in containers(graph)[service]["mountPoints"]}
        assert may == (channels if service in entered else set())
        assert (set(EXEC_SCRATCH.values()) <= paths) == (service in entered)


def test_health_is_asked_of_the_service_itself(stack: Stacks) -> None:
    graph = stack("development")
    for service in services(graph):
        check = containers(graph)[service].get("healthCheck")
        assert check is not None, f"{service}: ECS ignores an image's own"
        assert check["command"] == ["CMD", "python", "-m", "services.probe", service]


def test_old_revisions_stay_for_a_rollback(stack: Stacks) -> None:
    definitions = task_definitions(stack("development"))
    assert {name for name, each in definitions.items() if each.inputs.get("skipDestroy") is True} == SERVICES


def test_everything_of_a_task_is_tagged_as_its_service(stack: Stacks) -> None:
    for service, definition in task_definitions(stack("development")).items():
        assert definition.inputs["tags"]["tidegate:component"] == service
