"""Fargate on this machine: each task that moto has is a process that runs its definition's command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import boto3

from tests.harness.process import MARK, Managed, kill, marked
from tests.infra.engine.built import Images
from tests.infra.engine.gateway import Gateway, server
from tests.infra.engine.harness import Cloud
from tests.infra.engine.loopback import Places, Rewrite, told

BEAT_S = 0.2
KEEPS_ONE = "scheduler"
"""Its service has `deployment_maximum_percent` 100: the old one ends before the new one begins."""
LISTENING: Mapping[str, str] = {
    "SCHEDULER_HOST": "127.0.0.1",
    "SCHEDULER_DASHBOARD_PORT": "0",
    "AUTOSCALER_HOST": "127.0.0.1",
}
"""What would be reached from everywhere by default, which nothing may here."""


@dataclass
class Container:
    """A task's container.

    Attributes:
        id: of the task.
        family: of its definition.
        revision: of its definition.
        definition: the container's part of it.
        process: that it is.
        agent: what ECS does for it, as the execution role may.
        stream: of its log.
        shipped: bytes of the log that CloudWatch has.
        kill_at: when SIGKILL follows a SIGTERM (monotonic seconds).
        status: of its end.
    """

    id: str
    family: str
    revision: int
    definition: Mapping[str, Any]
    process: Managed
    agent: boto3.Session
    stream: str
    shipped: int = 0
    kill_at: float | None = None
    status: int | None = None

    @property
    def service(self) -> str:
        return str(self.definition["name"])

    def healthy(self) -> bool:
        """Whether its health check passes."""
        _cmd, _python, *rest = self.definition["healthCheck"]["command"]
        command = [sys.executable, *rest]
        limit = self.definition["healthCheck"]["timeout"]
        checked = subprocess.run(
            command, env=self.process.environment, cwd=self.process.directory, timeout=limit, check=False,
            capture_output=True,
        )  # fmt: skip
        return checked.returncode == 0


@dataclass
class Fargate:
    """Runs the tasks of a cluster.

    Attributes:
        cloud: that has them.
        gateway: by which their calls reach it.
        cluster: ARN.
        images: what they run.
        addresses: `host:port` in the stack, and here.
        scheduler_port: that the scheduler listens at.
        directory: for all of their files.
        extra: variables that stand for what a container finds in its image or on its network.
        roles: names of roles, by access key.
        containers: all that there were, by id of their task.
        rewrites: what had to be changed.
        errors: of this loop itself.
    """

    cloud: Cloud
    gateway: Gateway
    cluster: str
    images: Images
    addresses: Mapping[str, str]
    scheduler_port: int
    directory: Path
    extra: Mapping[str, str]
    roles: dict[str, str] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    rewrites: list[Rewrite] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self._ecs = self.cloud.client("ecs")
        self._sts = self.cloud.client("sts")
        self._answers: dict[str, Any] = {}
        self.metadata = server(self._handler())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fargate", daemon=True)

    # Its life.

    def start(self) -> None:
        self._thread.start()

    def close(self) -> list[str]:
        """End what runs at once; what is left over."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(60)
        for container in self.containers.values():
            container.process.kill_tree()
        left = [f"{process.pid}: {' '.join(process.cmdline())[:200]}" for process in marked(self.mark)]
        for line in left:
            kill(int(line.partition(":")[0]))
        return left

    def living(self, service: str) -> list[Container]:
        """Containers of a service that have not ended, the newest last."""
        if self.errors:
            raise self.errors[0]
        return [each for each in list(self.containers.values()) if each.service == service and each.status is None]

    def _run(self) -> None:
        while not self._closing.wait(BEAT_S):
            try:
                self._beat()
            except Exception as error:
                self.errors.append(error)
                return

    def _beat(self) -> None:
        arns = self._ecs.list_tasks(cluster=self.cluster)["taskArns"]
        unsettled = [arn for arn in arns if self._status_of(arn) is None]
        for task in self._ecs.describe_tasks(cluster=self.cluster, tasks=unsettled)["tasks"] if unsettled else ():
            container = self.containers.get(task_id(task["taskArn"]))
            if container is not None:
                self._look(container, task)
            elif task["desiredStatus"] == "RUNNING":
                self._start(task)

    def _status_of(self, arn: str) -> int | None:
        container = self.containers.get(task_id(arn))
        return None if container is None else container.status

    # One task.

    def _start(self, task: Mapping[str, Any]) -> None:
        arn = task["taskArn"]
        definition = self._ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        service = container["name"]
        if service == KEEPS_ONE and self.living(service):
            return
        name = task_id(arn)
        agent = self._session(self._credentials(definition["executionRoleArn"], name))
        tree = self.images.pull(agent.client("ecr", endpoint_url=self.gateway.url), container["image"])
        directory = self.directory / f"{service}-{name[:8]}"
        for mount in container["mountPoints"]:
            (directory / mount["sourceVolume"]).mkdir(parents=True)
        variables, rewrites = told(container, definition["family"], self._places(), directory)
        for override in task.get("overrides", {}).get("containerOverrides", ()):
            variables |= {each["name"]: each["value"] for each in override.get("environment", ())}
        vault = agent.client("secretsmanager", endpoint_url=self.gateway.url)
        for secret in container["secrets"]:
            variables[secret["name"]] = vault.get_secret_value(SecretId=secret["valueFrom"])["SecretString"]
        environment = {**self._around(tree, directory), **variables, **self._endpoints(task, definition)}
        command = [sys.executable, "-m", *container["command"]]
        process = Managed(service, command, environment, directory)
        stream = f"{container['logConfiguration']['options']['awslogs-stream-prefix']}/{service}/{name}"
        started = Container(name, definition["family"], definition["revision"], container, process, agent, stream)
        self._logs(started).create_log_stream(logGroupName=group_of(container), logStreamName=stream)
        self.rewrites += rewrites
        process.start()
        self.containers[name] = started
        self._ecs.submit_task_state_change(cluster=self.cluster, task=arn, status="RUNNING")

    def _around(self, tree: Path, directory: Path) -> dict[str, str]:
        """What a container has besides its definition: of its image, and of this machine."""
        return {
            MARK: self.mark,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tree),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(directory / "state"),
            "TMPDIR": str(directory / "tmp"),
            "OMP_NUM_THREADS": "1",
            **LISTENING,
            **self.extra,
        }

    def _endpoints(self, task: Mapping[str, Any], definition: Mapping[str, Any]) -> dict[str, str]:
        """What ECS itself sets, over what it answers there; and where AWS is."""
        name = task_id(task["taskArn"])
        about = {"Cluster": self.cluster, "TaskARN": task["taskArn"], "Family": definition["family"]}
        self._answers[f"/v4/{name}/task"] = about
        self._answers[f"/credentials/{name}"] = self._credentials(definition["taskRoleArn"], name)
        here = f"http://127.0.0.1:{self.metadata.server_port}"
        return {
            "AWS_REGION": "us-east-1",
            "ECS_CONTAINER_METADATA_URI_V4": f"{here}/v4/{name}",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{here}/credentials/{name}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.gateway.url,
        }

    def _look(self, container: Container, task: Mapping[str, Any]) -> None:
        process = container.process
        if process.running and task["desiredStatus"] == "STOPPED":
            if container.kill_at is None:
                container.kill_at = time.monotonic() + container.definition["stopTimeout"]
                process.signal(signal.SIGTERM)
            elif time.monotonic() > container.kill_at:
                process.kill_tree()
        ended = not process.running
        self._ship(container, everything=ended)
        if ended:
            container.status = status = process.wait(1)
            self._ecs.submit_task_state_change(
                cluster=self.cluster,
                task=task["taskArn"],
                status="STOPPED",
                reason="Essential container in task exited",
                containers=[{"containerName": container.service, "exitCode": status}],
            )

    def _ship(self, container: Container, *, everything: bool) -> None:
        """Hand new lines of the log to CloudWatch, whole ones until the end."""
        text = container.process.log.read_bytes()[container.shipped :]
        if not everything:
            text = text[: text.rfind(b"\n") + 1]
        if not text:
            return
        container.shipped += len(text)
        now = int(time.time() * 1000)
        lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
        self._logs(container).put_log_events(
            logGroupName=group_of(container.definition),
            logStreamName=container.stream,
            logEvents=[{"timestamp": now, "message": line} for line in lines],
        )

    # What is around it.

    def _logs(self, container: Container) -> Any:
        return container.agent.client("logs", endpoint_url=self.gateway.url)

    def _places(self) -> Places:
        """Where things are now: the scheduler's address is that of the task that runs."""
        addresses = dict(self.addresses)
        for address in self.scheduler_addresses():
            addresses[f"{address}:8786"] = f"127.0.0.1:{self.scheduler_port}"
        return Places(addresses, self.scheduler_port)

    def scheduler_addresses(self) -> list[str]:
        """Addresses of the schedulers that are to run, in the stack's network."""
        arns = self._ecs.list_tasks(cluster=self.cluster, desiredStatus="RUNNING")["taskArns"]
        tasks = self._ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"] if arns else []
        return [
            detail["value"]
            for task in tasks
            if task["group"].startswith("service:") and "scheduler" in task["group"]
            for attachment in task["attachments"]
            for detail in attachment["details"]
            if detail["name"] == "privateIPv4Address"
        ]

    def _credentials(self, role: str, session: str) -> dict[str, str]:
        """Credentials of a role, as a container's credentials endpoint has them."""
        made = self._sts.assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
        self.roles[made["AccessKeyId"]] = role.rpartition("/")[2]
        return {
            "RoleArn": role,
            "AccessKeyId": made["AccessKeyId"],
            "SecretAccessKey": made["SecretAccessKey"],
            "Token": made["SessionToken"],
            "Expiration": made["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _session(self, credentials: Mapping[str, str]) -> boto3.Session:
        return boto3.Session(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["Token"], "us-east-1"
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answers = self._answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path)
                data = json.dumps(found).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler


def task_id(arn: str) -> str:
    """The id at the end of a task's ARN."""
    return arn.rpartition("/")[2]


def group_of(container: Mapping[str, Any]) -> str:
    """Log group of a container."""
    return str(container["logConfiguration"]["options"]["awslogs-group"])
