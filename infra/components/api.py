"""The API: a service behind the load balancer, as many tasks as its load wants."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from infra import policies, ports
from infra.components.balancer import DEREGISTRATION_S, IDLE_S, Balancer
from infra.components.base import Component
from infra.components.cluster import Cluster
from infra.components.network import Network
from infra.components.results import Results
from infra.components.secret import keep
from infra.components.task import Health, Task, TaskArgs
from infra.environment import Wiring

KEEP_ALIVE_S = IDLE_S + 10
"""An idle connection is closed by the load balancer, never by the API, which would lose the request that just came."""
DELAY_S = 10
"""After SIGTERM the API goes on serving for so long: the load balancer may not know of it yet."""
END_S = 20
"""Then requests under way have so long to end."""
STOP_S = DEREGISTRATION_S + DELAY_S + END_S
"""From SIGTERM to SIGKILL."""
CPU_TARGET = 60.0
GRACE_S = 60


class Api(Component):
    """The API's service.

    Attributes:
        service: name of the ECS service.
        task: its task definition.
        admin_key_arn: ARN of the secret with the first admin key.
    """

    def __init__(
        self,
        wiring: Wiring,
        image: pulumi.Input[str],
        cluster: Cluster,
        network: Network,
        balancer: Balancer,
        results: Results,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("api", wiring.place, opts)
        settings = wiring.place.settings
        key = random.RandomPassword(
            wiring.place.names.logical("admin-key"), length=48, special=False, opts=self.child()
        )
        admin_key = keep(self, "admin-key", "the first admin key of the API", key.result)
        self.admin_key_arn = admin_key.arn
        environment: dict[str, pulumi.Input[str]] = {
            **wiring.common(),
            **wiring.store(),
            **wiring.metrics(),
            "OBJECT_STORE": wiring.object_store,
            "SCHEDULER_ADDRESS": wiring.scheduler_name,
            "API_HOST": "0.0.0.0",  # noqa: S104
            "API_PORT": str(ports.API),
            "API_KEEP_ALIVE": str(KEEP_ALIVE_S),
            "SHUTDOWN_DELAY": str(DELAY_S),
            "SHUTDOWN_SECONDS": str(END_S),
            "QUEUE_MAX": str(settings.queue_max),
            # Only the load balancer can reach it.
            "TRUSTED_PROXIES": "*",
        }
        self.task = Task(
            "api",
            wiring.place,
            TaskArgs(
                image=image,
                command=["services.api"],
                cpu=settings.api_cpu,
                memory=settings.api_memory,
                environment=environment,
                secrets={**wiring.secrets(), "API_ADMIN_KEY": self.admin_key_arn},
                port=ports.API,
                health=Health("api"),
                stop_timeout=STOP_S,
                allowed=results.arn.apply(policies.read_results),
            ),
            opts=self.child(),
        )
        service = self._serve(wiring, cluster, network, balancer, admin_key.version)
        self.service = service.name
        self._scale(cluster, service, balancer)
        self.register_outputs({"service": self.service})

    def _serve(
        self, wiring: Wiring, cluster: Cluster, network: Network, balancer: Balancer, key: pulumi.Resource
    ) -> aws.ecs.Service:
        return aws.ecs.Service(
            self.place.names.logical("api"),
            cluster=cluster.arn,
            task_definition=self.task.arn,
            desired_count=self.place.settings.api_min,
            launch_type="FARGATE",
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker=aws.ecs.ServiceDeploymentCircuitBreakerArgs(enable=True, rollback=True),
            health_check_grace_period_seconds=GRACE_S,
            load_balancers=[
                aws.ecs.ServiceLoadBalancerArgs(
                    target_group_arn=balancer.target_group_arn,
                    container_name=self.task.container,
                    container_port=ports.API,
                )
            ],
            network_configuration=network.of_tasks(network.groups.api),
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            opts=self.child(
                # ECS refuses a target group that no listener has.
                *balancer.listeners,
                *cluster.ready,
                *network.routes,
                *wiring.ready,
                *self.task.ready,
                key,
                # Scaling changes it.
                ignore=["desiredCount"],
            ),
        )

    def _scale(self, cluster: Cluster, service: aws.ecs.Service, balancer: Balancer) -> None:
        names, settings = self.place.names, self.place.settings
        target = aws.appautoscaling.Target(
            names.logical("api-scaling"),
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=pulumi.Output.concat("service/", cluster.name, "/", service.name),
            min_capacity=settings.api_min or 1,
            max_capacity=settings.api_max,
            opts=self.child(),
        )
        cpu = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
            predefined_metric_type="ECSServiceAverageCPUUtilization"
        )
        requests = aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
            predefined_metric_type="ALBRequestCountPerTarget", resource_label=balancer.resource_label
        )
        for name, metric, value in (
            ("cpu", cpu, CPU_TARGET),
            ("requests", requests, float(settings.requests_per_target)),
        ):
            aws.appautoscaling.Policy(
                names.logical(f"api-by-{name}"),
                policy_type="TargetTrackingScaling",
                service_namespace=target.service_namespace,
                scalable_dimension=target.scalable_dimension,
                resource_id=target.resource_id,
                target_tracking_scaling_policy_configuration=(
                    aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                        target_value=value,
                        predefined_metric_specification=metric,
                        scale_in_cooldown=300,
                        scale_out_cooldown=60,
                    )
                ),
                opts=self.child(),
            )
