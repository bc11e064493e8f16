"""The dashboard's and the alarms' content, pure: which metric, shown or watched how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

NAMESPACE: Final = "Tidegate"
"""Of the services' own metrics (`METRICS_NAMESPACE`)."""
WIDTH: Final = 8
HEIGHT: Final = 6
COLUMNS: Final = 3


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose metrics these are: values of their dimensions.

    Attributes:
        stack: of our own metrics.
        balancer: `LoadBalancer` of AWS/ApplicationELB.
        targets: its `TargetGroup`.
        cluster: `ClusterName` of AWS/ECS.
        scheduler: its `ServiceName` of the scheduler.
        api: of the API.
        nodes: `CacheClusterId`s of AWS/ElastiCache.
    """

    stack: str
    balancer: str
    targets: str
    cluster: str
    scheduler: str
    api: str
    nodes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and how its values of one period become one.

    Attributes:
        name: of the metric.
        statistic: `Sum`, `Average`, `Minimum`, `Maximum`, or a percentile such as `p95`.
        namespace: of CloudWatch.
        dimensions: by name.
        label: in the dashboard.
    """

    name: str
    statistic: str
    namespace: str
    dimensions: Mapping[str, str]
    label: str = ""

    def as_json(self) -> list[Any]:
        """A row of a widget's `metrics`."""
        pairs = [part for pair in self.dimensions.items() for part in pair]
        return [self.namespace, self.name, *pairs, {"stat": self.statistic, "label": self.label or self.name}]


@dataclass(frozen=True, slots=True)
class Alarm:
    """When operators are called; each has its page in `docs/operations.md`.

    Attributes:
        name: of the alarm, within the stack.
        metric: that is watched.
        comparison: of CloudWatch.
        threshold: that it is compared with.
        minutes: for which it must hold.
        missing: what missing data means.
        text: what it means, and where to look.
    """

    name: str
    metric: Metric
    comparison: Literal["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold"]
    threshold: float
    minutes: int
    missing: Literal["breaching", "notBreaching"]
    text: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics that are shown or watched, for one stack."""

    watched: Watched
    _balancer: Mapping[str, str] = field(init=False)
    _targets: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_balancer", {"LoadBalancer": self.watched.balancer})
        object.__setattr__(
            self, "_targets", {"TargetGroup": self.watched.targets, "LoadBalancer": self.watched.balancer}
        )

    def own(self, name: str, statistic: str, label: str = "") -> Metric:
        """A metric that a service of ours writes."""
        return Metric(name, statistic, NAMESPACE, {"Stack": self.watched.stack}, label)

    def balancer(self, name: str, statistic: str, label: str = "") -> Metric:
        """A metric of the load balancer."""
        return Metric(name, statistic, "AWS/ApplicationELB", self._balancer, label)

    def targets(self, name: str, statistic: str, label: str = "") -> Metric:
        """A metric of its target group."""
        return Metric(name, statistic, "AWS/ApplicationELB", self._targets, label)

    def service(self, name: str, service: str, statistic: str, label: str = "") -> Metric:
        """A metric of an ECS service."""
        return Metric(name, statistic, "AWS/ECS", {"ClusterName": self.watched.cluster, "ServiceName": service}, label)

    def cache(self, name: str, statistic: str) -> list[Metric]:
        """A metric of each of the cache's nodes."""
        return [
            Metric(name, statistic, "AWS/ElastiCache", {"CacheClusterId": node}, node) for node in self.watched.nodes
        ]


def alarms(watched: Watched) -> list[Alarm]:
    """All alarms of a stack."""
    m = Metrics(watched)
    return [
        Alarm(
            "api-errors",
            m.targets("HTTPCode_Target_5XX_Count", "Sum"),
            "GreaterThanOrEqualToThreshold",
            10,
            5,
            "notBreaching",
            "The API answers with errors: see its log group, and whether Redis is away.",
        ),
        Alarm(
            "balancer-errors",
            m.balancer("HTTPCode_ELB_5XX_Count", "Sum"),
            "GreaterThanOrEqualToThreshold",
            10,
            5,
            "notBreaching",
            "The load balancer finds no API task that answers: see the API service's events.",
        ),
        Alarm(
            "no-healthy-target",
            m.targets("HealthyHostCount", "Minimum"),
            "LessThanThreshold",
            1,
            3,
            "breaching",
            "No API task is healthy: see the API service's events and its log group.",
        ),
        Alarm(
            "autoscaler-silent",
            m.own("Rounds", "Sum"),
            "LessThanThreshold",
            1,
            5,
            "breaching",
            "The autoscaler does no rounds, so that the fleet stays as it is: see its log group.",
        ),
        Alarm(
            "scheduler-memory",
            m.service("MemoryUtilization", watched.scheduler, "Maximum"),
            "GreaterThanThreshold",
            85,
            5,
            "notBreaching",
            "The scheduler is running out of memory: raise schedulerMemory; a restart loses no task.",
        ),
        Alarm(
            "cache-memory",
            m.cache("DatabaseMemoryUsagePercentage", "Maximum")[0],
            "GreaterThanThreshold",
            95,
            15,
            "notBreaching",
            "The cache is full: old results are evicted, and when there are none, new tasks are refused. Take a larger "
            "cacheNodeType, or a shorter result_ttl.",
        ),
        Alarm(
            "queue-age",
            m.own("QueueAge", "Maximum"),
            "GreaterThanThreshold",
            900,
            5,
            "notBreaching",
            "The oldest task waits for more than 15 minutes: see GET /api/v1/fleet, and whether workersMax is reached.",
        ),
    ]


def dashboard(watched: Watched, region: str) -> dict[str, Any]:
    """The body of the dashboard."""
    m = Metrics(watched)
    widgets: list[tuple[str, list[Metric]]] = [
        ("Requests a minute", [m.own("Requests", "Sum"), m.own("Errors5xx", "Sum")]),
        ("Time to answer (s)", [m.own("RequestSeconds", each, each) for each in ("p50", "p95", "p99")]),
        ("Load balancer errors", [
            m.targets("HTTPCode_Target_5XX_Count", "Sum", "from the API"),
            m.balancer("HTTPCode_ELB_5XX_Count", "Sum", "its own"),
        ]),
        ("Tasks that wait", [m.own(f"Queue{name}", "Maximum", name) for name in ("Interactive", "Batch", "Delayed")]),
        ("Oldest task that waits (s)", [m.own("QueueAge", "Maximum")]),
        ("Tasks in Dask", [m.own("InFlight", "Maximum")]),
        ("Fleet", [
            m.own("FleetDesired", "Maximum", "desired"),
            m.own("FleetMachines", "Maximum", "observed"),
            m.own("FleetBusy", "Maximum", "busy"),
        ]),
        ("Spot and on demand", [m.own("FleetSpot", "Maximum", "Spot"), m.own("FleetOnDemand", "Maximum", "on demand")]),
        ("Worker hours", [
            m.own("WorkerHoursSpot", "Sum", "Spot"),
            m.own("WorkerHoursOnDemand", "Sum", "on demand"),
        ]),
        ("Cache memory (%)", m.cache("DatabaseMemoryUsagePercentage", "Maximum")),
        ("Cache evictions", m.cache("Evictions", "Sum")),
        ("Scheduler and API (%)", [
            m.service("CPUUtilization", watched.scheduler, "Average", "scheduler CPU"),
            m.service("MemoryUtilization", watched.scheduler, "Maximum", "scheduler memory"),
            m.service("CPUUtilization", watched.api, "Average", "API CPU"),
            m.service("MemoryUtilization", watched.api, "Maximum", "API memory"),
        ]),
    ]  # fmt: skip
    return {"widgets": [_widget(at, title, metrics, region) for at, (title, metrics) in enumerate(widgets)]}


def _widget(at: int, title: str, metrics: Sequence[Metric], region: str) -> dict[str, Any]:
    return {
        "type": "metric",
        "x": WIDTH * (at % COLUMNS),
        "y": HEIGHT * (at // COLUMNS),
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title,
            "region": region,
            "view": "timeSeries",
            "period": 60,
            "metrics": [metric.as_json() for metric in metrics],
        },
    }
