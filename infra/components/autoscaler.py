"""The autoscaler: the one service that starts and stops others' tasks, with a role for just that.

Its fleet ends here too: workers are started by it, so that Pulumi does not know them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from infra import policies, ports
from infra.components.base import Component
from infra.components.cluster import Cluster
from infra.components.network import Network
from infra.components.scheduler import Scheduler
from infra.components.task import Health, Task, TaskArgs
from infra.components.worker import Worker
from infra.dynamic.fleet_stop import FleetStop, timeout_for
from infra.environment import Wiring
from infra.policies import Statement

CPU = 256
MEMORY = 1024


class Autoscaler(Component):
    """The autoscaler's service.

    Attributes:
        service: name of the ECS service.
        task: its task definition.
    """

    def __init__(
        self,
        wiring: Wiring,
        image: pulumi.Input[str],
        cluster: Cluster,
        network: Network,
        scheduler: Scheduler,
        worker: Worker,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("autoscaler", wiring.place, opts)
        names = wiring.place.names
        self.task = Task(
            "autoscaler",
            wiring.place,
            TaskArgs(
                image=image,
                command=["services.autoscaler"],
                cpu=CPU,
                memory=MEMORY,
                environment={
                    **_environment(wiring, cluster, network, worker),
                    # The address of the task that runs now; should ECS replace it, the name leads to the next.
                    "SCHEDULER_ADDRESS": scheduler.address,
                    "SCHEDULER_FALLBACK": wiring.scheduler_name,
                },
                secrets=wiring.secrets(),
                port=ports.AUTOSCALER,
                health=Health("autoscaler", start=60),
                allowed=_allowed(names.fleet, cluster, worker),
            ),
            opts=self.child(),
        )
        service = aws.ecs.Service(
            names.logical("autoscaler"),
            cluster=cluster.arn,
            task_definition=self.task.arn,
            desired_count=1,
            launch_type="FARGATE",
            # Two at once are fine: one acts, by its lease.
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            network_configuration=network.of_tasks(network.groups.autoscaler),
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            # After the fleet's end in creation, so before it in deletion: nobody starts workers then.
            opts=self.child(self._fleet_end(wiring, cluster, network, scheduler, worker), *self.task.ready),
        )
        self.service = service.name
        self.register_outputs({"service": self.service})

    def _fleet_end(
        self, wiring: Wiring, cluster: Cluster, network: Network, scheduler: Scheduler, worker: Worker
    ) -> FleetStop:
        """What stops all workers when the stack is destroyed.

        It depends on all that a worker needs, also to drain: its roles, rules, cache and scheduler go after it.
        """
        names, who = self.place.names, self.place.credentials
        return FleetStop(
            names.logical("fleet"),
            cluster=cluster.arn,
            fleet_name=names.fleet,
            region=self.place.region,
            profile=who.profile,
            role_arn=who.role_arn,
            session_name=who.session_name,
            external_id=who.external_id,
            timeout=timeout_for(self.place.settings.workers_max),
            opts=self.child(*cluster.ready, *network.routes, *wiring.ready, *worker.ready, *scheduler.ready),
        )


def _environment(wiring: Wiring, cluster: Cluster, network: Network, worker: Worker) -> dict[str, pulumi.Input[str]]:
    settings = wiring.place.settings
    return {
        **wiring.common(),
        **wiring.store(),
        **wiring.metrics(),
        "FLEET": "ecs",
        "FLEET_NAME": wiring.place.names.fleet,
        "ECS_CLUSTER": cluster.arn,
        "WORKER_TASK_DEFINITION": worker.task.arn,
        "WORKER_SUBNETS": network.private_subnet_ids.apply(",".join),
        "WORKER_SECURITY_GROUPS": network.groups.worker.id,
        "WORKER_VCPU": f"{settings.worker_cpu / 1024:g}",
        "WORKER_PROCESSES": str(settings.worker_processes),
        "WORKER_THREADS": str(settings.worker_threads),
        "WORKERS_MIN": str(settings.workers_min),
        "WORKERS_MAX": str(settings.workers_max),
        "USE_SPOT": str(settings.use_spot).lower(),
        "ON_DEMAND_BASE": str(settings.on_demand_base),
        "TARGET_DURATION": f"{settings.target_duration:g}",
        "OBSERVE_ONLY": str(settings.observe_only).lower(),
        "AUTOSCALER_PORT": str(ports.AUTOSCALER),
    }


def _allowed(fleet: str, cluster: Cluster, worker: Worker) -> pulumi.Output[Sequence[Statement]]:
    return pulumi.Output.all(cluster.arn, worker.task.arn, *worker.task.role_arns).apply(
        lambda known: policies.scale(known[0], known[1], known[2:], fleet)
    )
