"""The Dask scheduler: one task, found by name, and its address once it is healthy."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import ports
from infra.components.base import Component
from infra.components.cluster import Cluster
from infra.components.discovery import Discovery
from infra.components.network import Network
from infra.components.task import Health, Task, TaskArgs
from infra.dynamic.scheduler_address import SchedulerAddress
from infra.environment import Wiring


class Scheduler(Component):
    """The scheduler.

    Attributes:
        address: of the task that is running and healthy, such as `tcp://10.0.1.7:8786`; there once it is.
        service: name of the ECS service.
        task: its task definition.
        ready: it, for those who must not be there without it.
    """

    def __init__(
        self,
        wiring: Wiring,
        image: pulumi.Input[str],
        cluster: Cluster,
        network: Network,
        discovery: Discovery,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("scheduler", wiring.place, opts)
        settings, names, who = wiring.place.settings, wiring.place.names, wiring.place.credentials
        self.task = Task(
            "scheduler",
            wiring.place,
            TaskArgs(
                image=image,
                command=["services.worker.scheduler"],
                cpu=settings.scheduler_cpu,
                memory=settings.scheduler_memory,
                environment={**wiring.common(), "SCHEDULER_PORT": str(ports.SCHEDULER)},
                secrets=wiring.secrets(redis=False),
                port=ports.SCHEDULER,
                health=Health("scheduler", start=60),
                exec_shell=True,  # the way to Dask's dashboard
            ),
            opts=self.child(),
        )
        service = aws.ecs.Service(
            names.logical("scheduler"),
            cluster=cluster.arn,
            task_definition=self.task.arn,
            desired_count=1,
            launch_type="FARGATE",
            # Never two at once: half of the workers would join each.
            deployment_minimum_healthy_percent=0,
            deployment_maximum_percent=100,
            enable_execute_command=True,
            network_configuration=network.of_tasks(network.groups.scheduler),
            service_registries=aws.ecs.ServiceServiceRegistriesArgs(registry_arn=discovery.scheduler_service_arn),
            # The wait is the address below: what this one says when it fails explains nothing.
            wait_for_steady_state=False,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            opts=self.child(*cluster.ready, *network.routes, *wiring.ready, *self.task.ready),
        )
        found = SchedulerAddress(
            names.logical("scheduler-address"),
            cluster=cluster.arn,
            service=service.name,
            task_definition=self.task.arn,
            container=self.task.container,
            region=wiring.place.region,
            profile=who.profile,
            role_arn=who.role_arn,
            session_name=who.session_name,
            external_id=who.external_id,
            scheme=wiring.scheme,
            port=ports.SCHEDULER,
            timeout=settings.scheduler_timeout,
            opts=self.child(service),
        )
        self.service = service.name
        self.address = found.address
        self.ready: list[pulumi.Resource] = [service]
        self.register_outputs({"address": self.address})
