"""The load balancer: the only thing that the world can reach."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import ports
from infra.components.base import Component, Place
from infra.components.network import Network

IDLE_S = 65
"""Longer than the longest `Prefer: wait` (30 s) and the heartbeat of event streams (15 s)."""
DEREGISTRATION_S = 30
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


class Balancer(Component):
    """Load balancer, target group, listeners, and with a domain its certificate and name.

    Attributes:
        url: of the API.
        target_group_arn: that the API's tasks register with.
        resource_label: by which scaling knows the target group's requests.
        arn_suffix: of the load balancer, a dimension of its metrics.
        target_group_suffix: of the target group, likewise.
        listeners: without which the target group is not in use.
    """

    def __init__(self, place: Place, network: Network, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("balancer", place, opts)
        settings, names = place.settings, place.names
        self._balancer = aws.lb.LoadBalancer(
            names.logical("api", "load_balancer"),
            load_balancer_type="application",
            internal=settings.internal,
            subnets=network.private_subnet_ids if settings.internal else network.public_subnet_ids,
            security_groups=[network.groups.balancer.id],
            idle_timeout=IDLE_S,
            drop_invalid_header_fields=True,
            enable_deletion_protection=settings.production,
            opts=self.child(),
        )
        self._targets = self._target_group(network)
        self.target_group_arn = self._targets.arn
        self.arn_suffix = self._balancer.arn_suffix
        self.target_group_suffix = self._targets.arn_suffix
        self.resource_label = pulumi.Output.concat(self.arn_suffix, "/", self.target_group_suffix)
        if settings.domain is None:
            pulumi.log.warn(
                "the API is reached over HTTP, in the clear: set tidegate:domain and tidegate:hostedZone for HTTPS",
                self,
            )
            self.listeners = [self._listener(ports.HTTP, self._forward())]
            self.url = pulumi.Output.concat("http://", self._balancer.dns_name)
        else:
            self.listeners = self._secure(settings.domain, settings.hosted_zone or "")
            self.url = pulumi.Output.from_input(f"https://{settings.domain}")
        self.register_outputs({"url": self.url})

    def _target_group(self, network: Network) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            self.place.names.logical("api", "target_group"),
            vpc_id=network.vpc_id,
            port=ports.API,
            protocol="HTTP",
            target_type="ip",
            deregistration_delay=DEREGISTRATION_S,
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                # Not /readyz, which asks Redis: ECS would end all API tasks at a failover there.
                path="/livez",
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            opts=self.child(),
        )

    def _forward(self) -> aws.lb.ListenerDefaultActionArgs:
        return aws.lb.ListenerDefaultActionArgs(type="forward", target_group_arn=self._targets.arn)

    def _listener(
        self, port: int, action: aws.lb.ListenerDefaultActionArgs, certificate: pulumi.Input[str] | None = None
    ) -> aws.lb.Listener:
        secure = certificate is not None
        return aws.lb.Listener(
            self.place.names.logical("https" if secure else "http"),
            load_balancer_arn=self._balancer.arn,
            port=port,
            protocol="HTTPS" if secure else "HTTP",
            ssl_policy=TLS_POLICY if secure else None,
            certificate_arn=certificate,
            default_actions=[action],
            opts=self.child(),
        )

    def _secure(self, domain: str, zone: str) -> list[aws.lb.Listener]:
        names = self.place.names
        certificate = aws.acm.Certificate(
            names.logical("certificate"), domain_name=domain, validation_method="DNS", opts=self.child()
        )
        wanted = certificate.domain_validation_options[0]
        proof = aws.route53.Record(
            names.logical("certificate-proof"),
            zone_id=zone,
            name=wanted.resource_record_name,
            type=wanted.resource_record_type,
            records=[wanted.resource_record_value],
            ttl=300,
            allow_overwrite=True,  # another stack under the same name proves it by the same record
            opts=self.child(),
        )
        proven = aws.acm.CertificateValidation(
            names.logical("certificate-proven"),
            certificate_arn=certificate.arn,
            validation_record_fqdns=[proof.fqdn],
            opts=self.child(),
        )
        aws.route53.Record(
            names.logical("name"),
            zone_id=zone,
            name=domain,
            type="A",
            aliases=[
                aws.route53.RecordAliasArgs(
                    name=self._balancer.dns_name, zone_id=self._balancer.zone_id, evaluate_target_health=True
                )
            ],
            opts=self.child(),
        )
        redirect = aws.lb.ListenerDefaultActionRedirectArgs(
            port=str(ports.HTTPS), protocol="HTTPS", status_code="HTTP_301"
        )
        return [
            self._listener(ports.HTTPS, self._forward(), proven.certificate_arn),
            self._listener(ports.HTTP, aws.lb.ListenerDefaultActionArgs(type="redirect", redirect=redirect)),
        ]
