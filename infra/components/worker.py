"""The workers: a task definition only. The autoscaler starts and stops them, by its own count."""

from __future__ import annotations

from functools import partial

import pulumi

from infra import policies, ports
from infra.components.base import Component
from infra.components.files import SharedFiles
from infra.components.results import Results
from infra.components.task import SCRATCH, Task, TaskArgs
from infra.environment import Wiring

STOP_S = 120
"""The longest that Fargate allows; a worker drains for `WORKER_GRACE`, 110 s, of it."""


class Worker(Component):
    """What a worker is.

    Attributes:
        task: its task definition.
        ready: what must be there before one is started.
    """

    def __init__(
        self,
        wiring: Wiring,
        image: pulumi.Input[str],
        results: Results,
        files: SharedFiles | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("worker", wiring.place, opts)
        settings = wiring.place.settings
        first, last = ports.WORKERS
        environment: dict[str, pulumi.Input[str]] = {
            **wiring.common(),
            **wiring.store(),
            "OBJECT_STORE": wiring.object_store,
            # By name: a scheduler that was replaced changes nothing here.
            "SCHEDULER_ADDRESS": wiring.scheduler_name,
            "WORKER_PROCESSES": str(settings.worker_processes),
            "WORKER_THREADS": str(settings.worker_threads),
            "WORKER_PORTS": f"{first}-{last}",
            "WORKER_DIRECTORY": SCRATCH["state"],
        }
        self.task = Task(
            "worker",
            wiring.place,
            TaskArgs(
                image=image,
                command=["services.worker"],
                cpu=settings.worker_cpu,
                memory=settings.worker_memory,
                environment=environment,
                secrets=wiring.secrets(),
                stop_timeout=STOP_S,
                allowed=results.arn.apply(partial(policies.write_results)),
                storage=settings.worker_storage,
                files=None if files is None else files.mount,
            ),
            opts=self.child(),
        )
        self.ready: list[pulumi.Resource] = [*self.task.ready, *(files.ready if files else ())]
        self.register_outputs({"task_definition": self.task.arn})
