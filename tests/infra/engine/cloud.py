"""moto as the engine's tests need it: a server with what it lacks, and an ECS whose services really run tasks.

`python -m tests.infra.engine.cloud PORT` serves until its parent ends.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from typing import Any

from tests.infra.engine import additions

BEAT_S = 0.2
UNHEALTHY = "TIDEGATE_UNHEALTHY"
"""A container with this variable never becomes healthy: its task stops with its value as the reason."""


class Services:
    """ECS's service scheduler: as many tasks of the present definition as are wanted, healthy after a moment."""

    def __init__(self) -> None:
        from moto.ecs.models import ecs_backends

        self._backends = ecs_backends
        self._broken = 0

    def beat(self) -> None:
        """Do what is to be done now."""
        for account in list(self._backends.values()):
            for backend in list(account.values()):
                for service in list(backend.services.values()):
                    self._serve(backend, service)

    def _serve(self, backend: Any, service: Any) -> None:
        cluster = service.cluster_name
        tasks = [
            task
            for task in list(backend.tasks.get(cluster, {}).values())
            if task.group == f"service:{service.name}" and task.desired_status == "RUNNING"
        ]
        present = service.task_definition
        wanted = service.desired_count if service.status == "ACTIVE" else 0
        current = [task for task in tasks if task.task_definition_arn == present]
        for task in [task for task in tasks if task not in current] + current[wanted:]:
            self._stop(task, "Scaling activity initiated by deployment")
        for _ in range(wanted - len(current)):
            self._start(backend, service, present)

    def _start(self, backend: Any, service: Any, definition: str) -> None:
        from moto.ecs.models import Task

        found = backend.describe_task_definition(definition)
        task: Any = Task(
            backend.clusters[service.cluster_name],
            found,
            None,
            {},
            backend,
            group=f"service:{service.name}",
            launch_type="FARGATE",
            started_by=f"ecs-svc/{service.name}",
            networking_configuration=service.network_configuration,
        )
        now = datetime.datetime.now(datetime.UTC)
        container = found.container_definitions[0]
        told = {each["name"]: each["value"] for each in container.get("environment", [])}
        task.containers[0].health_status = "UNHEALTHY" if UNHEALTHY in told else "HEALTHY"
        task.containers[0].last_status = "RUNNING"
        task.created_at = task.started_at = now
        backend.tasks.setdefault(service.cluster_name, {})[task.task_arn] = task
        if UNHEALTHY in told:
            self._broken += 1
            self._stop(task, f"Task failed container health checks: {told[UNHEALTHY]}")

    @staticmethod
    def _stop(task: Any, reason: str) -> None:
        task.desired_status = "STOPPED"
        task.last_status = additions.ending(task)
        task.stop_code = "ServiceSchedulerInitiated"
        task.stopped_reason = reason
        task.stopped_at = datetime.datetime.now(datetime.UTC)


def main(port: int) -> None:
    """Serve."""
    from moto.moto_api import state_manager
    from moto.server import ThreadedMotoServer

    additions.install()
    # Tasks move on by themselves here, not by being looked at.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    services = Services()
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            services.beat()
        except Exception as error:
            print(f"the beat of ECS failed: {error!r}", file=sys.stderr, flush=True)
        time.sleep(BEAT_S)
    server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
