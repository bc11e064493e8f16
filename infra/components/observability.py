"""What operators see: a dashboard, and alarms that go to a topic where there is one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.components.api import Api
from infra.components.balancer import Balancer
from infra.components.base import Component, Place
from infra.components.cache import Cache
from infra.components.cluster import Cluster
from infra.components.scheduler import Scheduler
from infra.dashboard import Alarm, Watched, alarms, dashboard

MINUTE_S = 60


class Observability(Component):
    """Dashboard and alarms.

    Attributes:
        dashboard_url: in the AWS console.
        topic_arn: of the topic that alarms go to; None without one.
    """

    def __init__(
        self,
        place: Place,
        cluster: Cluster,
        cache: Cache,
        balancer: Balancer,
        scheduler: Scheduler,
        api: Api,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("observability", place, opts)
        nodes = {f"node {n}": pulumi.Output.concat(cache.group_id, f"-{n:03}") for n in range(1, cache.nodes + 1)}
        # By the name that stands for it until it is known: an alarm is given what it watches and nothing else, or a
        # change of one of these would show as a change of every alarm.
        self._known: dict[str, pulumi.Input[str]] = {
            "balancer": balancer.arn_suffix,
            "targets": balancer.target_group_suffix,
            "cluster": cluster.name,
            "scheduler": scheduler.service,
            "api": api.service,
            **nodes,
        }
        body = pulumi.Output.all(*self._known.values()).apply(
            lambda known: json.dumps(dashboard(self._watched(known), place.region))
        )
        shown = aws.cloudwatch.Dashboard(
            place.names.logical("dashboard"),
            dashboard_name=place.names.prefix,
            dashboard_body=body,
            opts=self.child(delete_first=True),
        )
        self.topic_arn = self._topic()
        for alarm in alarms(self._watched(list(self._known))):
            self._alarm(alarm)
        self.dashboard_url = pulumi.Output.concat(
            f"https://{place.region}.console.aws.amazon.com/cloudwatch/home?region={place.region}#dashboards:name=",
            shown.dashboard_name,
        )
        self.register_outputs({"dashboard_url": self.dashboard_url})

    def _watched(self, known: Sequence[Any]) -> Watched:
        balancer, targets, cluster, scheduler, api, *nodes = known
        return Watched(self.place.names.prefix, balancer, targets, cluster, scheduler, api, nodes)

    def _topic(self) -> pulumi.Output[str] | None:
        settings, names = self.place.settings, self.place.names
        if settings.alarm_topic:
            return pulumi.Output.from_input(settings.alarm_topic)
        if settings.alarm_email is None:
            return None
        # Alarms cannot publish to a topic under the account's default key for SNS.
        topic = aws.sns.Topic(names.logical("alarms"), opts=self.child())
        aws.sns.TopicPolicy(
            names.logical("alarms"),
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: policies.alarms_may_publish(arn, self.place.account)),
            opts=self.child(),
        )
        aws.sns.TopicSubscription(
            names.logical("alarms-by-mail"),
            topic=topic.arn,
            protocol="email",
            endpoint=settings.alarm_email,
            opts=self.child(),
        )
        return topic.arn

    def _alarm(self, alarm: Alarm) -> None:
        """Make an alarm; its dimensions are known only once what it watches is there."""
        statistic = alarm.metric.statistic
        actions = [self.topic_arn] if self.topic_arn is not None else []
        aws.cloudwatch.MetricAlarm(
            self.place.names.logical(alarm.name),
            name=f"{self.place.names.prefix}-{alarm.name}",
            alarm_description=alarm.text,
            namespace=alarm.metric.namespace,
            metric_name=alarm.metric.name,
            dimensions={name: self._known.get(value, value) for name, value in alarm.metric.dimensions.items()},
            statistic=statistic if not statistic.startswith("p") else None,
            extended_statistic=statistic if statistic.startswith("p") else None,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            period=MINUTE_S,
            evaluation_periods=alarm.minutes,
            datapoints_to_alarm=alarm.minutes,
            treat_missing_data=alarm.missing,
            alarm_actions=actions,
            ok_actions=actions,
            opts=self.child(delete_first=True),
        )
