"""A Fargate task definition with all that belongs to it: log group, roles, one container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.components.base import Component, Place
from infra.policies import Statement

SCRATCH: Mapping[str, str] = {"tmp": "/tmp", "state": "/var/lib/tidegate"}  # noqa: S108
"""Volumes that every task has, since its root file system is read-only: name and path."""
EXEC_SCRATCH: Mapping[str, str] = {"exec-state": "/var/lib/amazon", "exec-log": "/var/log/amazon"}
"""What the agent of ECS Exec writes to."""
USER = "10001:10001"
OPEN_FILES = 65536

_ARCHITECTURES = {"linux/amd64": "X86_64", "linux/arm64": "ARM64"}


@dataclass(frozen=True, slots=True)
class Health:
    """A container's health check; times in seconds.

    Attributes:
        service: what `services.probe` asks.
        start: during which failures do not count.
    """

    service: str
    start: int = 30

    def as_json(self) -> dict[str, Any]:
        """As ECS has it."""
        command = ["CMD", "python", "-m", "services.probe", self.service]
        return {"command": command, "interval": 10, "timeout": 5, "retries": 3, "startPeriod": self.start}


@dataclass(frozen=True, slots=True)
class Files:
    """A shared file system to mount.

    Attributes:
        file_system: id.
        file_system_arn: ARN.
        access_point: id.
        access_point_arn: ARN.
        path: where.
    """

    file_system: pulumi.Output[str]
    file_system_arn: pulumi.Output[str]
    access_point: pulumi.Output[str]
    access_point_arn: pulumi.Output[str]
    path: str = "/files"


@dataclass(frozen=True, slots=True)
class TaskArgs:
    """What is special about a task.

    Attributes:
        image: URI.
        command: arguments of the image's entry point: a module of `services`.
        cpu: units.
        memory: MiB.
        environment: variables by name.
        secrets: ARNs of secrets, by the variable that gets their value.
        port: that it listens on; None for none of a fixed number.
        health: how ECS sees whether it is well; None for not at all.
        stop_timeout: seconds from SIGTERM to SIGKILL.
        allowed: what its code may do on AWS, by the ARNs that it needs.
        exec_shell: whether operators may open a shell in it (ECS Exec).
        storage: GiB of its disk; None for Fargate's 20.
        files: shared file system to mount.
    """

    image: pulumi.Input[str]
    command: Sequence[str]
    cpu: int
    memory: int
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    port: int | None = None
    health: Health | None = None
    stop_timeout: int = 30
    allowed: pulumi.Input[Sequence[Statement]] = ()
    exec_shell: bool = False
    storage: int | None = None
    files: Files | None = None


class Task(Component):
    """One kind of task.

    Attributes:
        arn: of the task definition, with its revision.
        container: name of its container.
        role_arns: its task role and its execution role.
        log_group: name of its log group.
        ready: what must be there before a task is started.
    """

    def __init__(self, service: str, place: Place, args: TaskArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        # Tagged as the service: the autoscaler has ECS copy the definition's tags to its workers, and tags them itself
        # as the component `worker`. Which of two values wins, AWS does not say.
        super().__init__(f"{service}-task", place, opts, tag=service)
        self.container = service
        self._service = service
        self._args = args
        logs = aws.cloudwatch.LogGroup(
            place.names.logical(f"{service}-logs"),
            name=place.names.log_group(service),
            retention_in_days=place.settings.log_days,
            opts=self.child(),
        )
        self.log_group = logs.name
        execution, may_execute = self._execution_role(logs)
        role, may_run = self._task_role()
        self.role_arns = (role.arn, execution.arn)
        self.ready: list[pulumi.Resource] = [may_execute, *may_run]
        definition = self._definition(logs, execution, role)
        self.arn = definition.arn
        self.register_outputs({"arn": self.arn})

    # Roles.

    def _role(self, name: str, what: str) -> aws.iam.Role:
        return aws.iam.Role(
            self.place.names.logical(name, "role"),
            description=f"Tidegate: {what} of {self._service}",
            assume_role_policy=policies.trust("ecs-tasks.amazonaws.com", self.place.account),
            opts=self.child(),
        )

    def _execution_role(self, logs: aws.cloudwatch.LogGroup) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = self._role(f"{self._service}-execution", "what ECS does for a task")
        secrets = pulumi.Output.all(*self._args.secrets.values())
        partition = self.place.partition
        document = pulumi.Output.all(logs.arn, self._args.image, secrets).apply(
            lambda known: policies.document(policies.execution(known[0], [known[1]], known[2], partition))
        )
        policy = aws.iam.RolePolicy(
            self.place.names.logical(f"{self._service}-execution"), role=role.id, policy=document, opts=self.child()
        )
        return role, policy

    def _task_role(self) -> tuple[aws.iam.Role, list[aws.iam.RolePolicy]]:
        role = self._role(f"{self._service}-task", "what the code may do")
        args = self._args
        if isinstance(args.allowed, (list, tuple)) and not args.allowed and not args.exec_shell and args.files is None:
            return role, []
        files = [] if args.files is None else [args.files.file_system_arn, args.files.access_point_arn]

        def document(known: Sequence[Any]) -> str:
            statements = [*known[0], *(policies.shell() if args.exec_shell else [])]
            return policies.document([*statements, *(policies.use_files(*known[1:]) if files else [])])

        policy = aws.iam.RolePolicy(
            self.place.names.logical(f"{self._service}-task"),
            role=role.id,
            policy=pulumi.Output.all(args.allowed, *files).apply(document),
            opts=self.child(),
        )
        return role, [policy]

    # The definition.

    def _definition(
        self, logs: aws.cloudwatch.LogGroup, execution: aws.iam.Role, role: aws.iam.Role
    ) -> aws.ecs.TaskDefinition:
        args, settings = self._args, self.place.settings
        storage = None if args.storage is None else aws.ecs.TaskDefinitionEphemeralStorageArgs(size_in_gib=args.storage)
        return aws.ecs.TaskDefinition(
            self.place.names.logical(self._service),
            family=self.place.names.family(self._service),
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(args.cpu),
            memory=str(args.memory),
            runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
                operating_system_family="LINUX", cpu_architecture=_ARCHITECTURES[settings.platform]
            ),
            ephemeral_storage=storage,
            execution_role_arn=execution.arn,
            task_role_arn=role.arn,
            volumes=self._volumes(),
            container_definitions=pulumi.Output.json_dumps([self._container(logs)]),
            # Old revisions stay registered: a circuit breaker's rollback goes back to the last one, and a launch of
            # workers that is made again names the one that it had. ECS refuses both once a revision is deregistered.
            # What is left behind, after `destroy` too, costs nothing and runs nothing: the revisions of each family.
            skip_destroy=True,
            opts=self.child(),
        )

    @property
    def _scratch(self) -> Mapping[str, str]:
        return {**SCRATCH, **(EXEC_SCRATCH if self._args.exec_shell else {})}

    def _volumes(self) -> list[aws.ecs.TaskDefinitionVolumeArgs]:
        volumes = [aws.ecs.TaskDefinitionVolumeArgs(name=name) for name in self._scratch]
        files = self._args.files
        if files is not None:
            access = aws.ecs.TaskDefinitionVolumeEfsVolumeConfigurationAuthorizationConfigArgs(
                access_point_id=files.access_point, iam="ENABLED"
            )
            mounted = aws.ecs.TaskDefinitionVolumeEfsVolumeConfigurationArgs(
                file_system_id=files.file_system, transit_encryption="ENABLED", authorization_config=access
            )
            volumes.append(aws.ecs.TaskDefinitionVolumeArgs(name="files", efs_volume_configuration=mounted))
        return volumes

    def _container(self, logs: aws.cloudwatch.LogGroup) -> dict[str, Any]:
        args = self._args
        mounts = {**self._scratch, **({} if args.files is None else {"files": args.files.path})}
        container: dict[str, Any] = {
            "name": self.container,
            "image": args.image,
            "command": list(args.command),
            "essential": True,
            "user": USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
            "ulimits": [{"name": "nofile", "softLimit": OPEN_FILES, "hardLimit": OPEN_FILES}],
            "environment": [{"name": name, "value": value} for name, value in sorted(args.environment.items())],
            "secrets": [{"name": name, "valueFrom": arn} for name, arn in sorted(args.secrets.items())],
            "mountPoints": [
                {"sourceVolume": name, "containerPath": path, "readOnly": False}
                for name, path in sorted(mounts.items())
            ],
            "stopTimeout": args.stop_timeout,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": logs.name,
                    "awslogs-region": self.place.region,
                    "awslogs-stream-prefix": self._service,
                    # A service must go on when CloudWatch is slow; what does not fit is lost.
                    "mode": "non-blocking",
                    "max-buffer-size": "4m",
                },
            },
        }
        if args.port is not None:
            container["portMappings"] = [{"containerPort": args.port, "hostPort": args.port, "protocol": "tcp"}]
        if args.health is not None:
            container["healthCheck"] = args.health.as_json()
        return container
