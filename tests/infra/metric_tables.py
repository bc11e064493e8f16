"""Metrics that AWS's services write, with the sets of dimensions that they have, as their documentation lists them.

- https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
- https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html (without those of
  enhanced observability)
- https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
- https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.html (of nodes with Valkey or Redis OSS)

CloudWatch shows and watches a metric that nobody writes without a word, so that what is missing here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Dimensions = frozenset[frozenset[str]]
"""Sets of names of dimensions under which a metric is written."""
Emitted = Mapping[str, Mapping[str, Dimensions]]
"""Metrics by namespace and name."""


def _sets(*names: str) -> Dimensions:
    return frozenset(frozenset(each.split()) for each in names)


def _table(metrics: Mapping[str, Dimensions]) -> Mapping[str, Dimensions]:
    return {name: dimensions for names, dimensions in metrics.items() for name in names.split()}


_CLUSTER = _sets("ClusterName")
_SERVICE = _sets("ClusterName ServiceName")
_FAMILY = _sets("ClusterName TaskDefinitionFamily")
_BALANCER = _sets("LoadBalancer", "AvailabilityZone LoadBalancer")
_TARGETS = _sets("LoadBalancer TargetGroup", "AvailabilityZone LoadBalancer TargetGroup")
_NODE = _sets("CacheClusterId", "CacheClusterId CacheNodeId")

AWS: Emitted = {
    "AWS/ECS": _table(
        {
            "CPUUtilization MemoryUtilization": _CLUSTER | _SERVICE,
            "CPUReservation MemoryReservation GPUReservation": _CLUSTER,
            "EBSFilesystemUtilization": _CLUSTER | _SERVICE,
        }
    ),
    "ECS/ContainerInsights": _table(
        {
            "CpuReserved CpuUtilized MemoryReserved MemoryUtilized NetworkRxBytes NetworkTxBytes StorageReadBytes "
            "StorageWriteBytes EphemeralStorageReserved EphemeralStorageUtilized": _CLUSTER | _SERVICE | _FAMILY,
            "ContainerInstanceCount ServiceCount TaskCount": _CLUSTER,
            "DeploymentCount DesiredTaskCount PendingTaskCount RunningTaskCount TaskSetCount": _SERVICE,
        }
    ),
    "AWS/ApplicationELB": _table(
        {
            "ActiveConnectionCount ClientTLSNegotiationErrorCount DesyncMitigationMode_NonCompliant_Request_Count "
            "DroppedInvalidHeaderRequestCount GrpcRequestCount HTTP_Fixed_Response_Count HTTP_Redirect_Count "
            "HTTP_Redirect_Url_Limit_Exceeded_Count HTTPCode_ELB_3XX_Count HTTPCode_ELB_4XX_Count "
            "HTTPCode_ELB_5XX_Count HTTPCode_ELB_500_Count HTTPCode_ELB_502_Count HTTPCode_ELB_503_Count "
            "HTTPCode_ELB_504_Count IPv6ProcessedBytes IPv6RequestCount NewConnectionCount NonStickyRequestCount "
            "ProcessedBytes RejectedConnectionCount RuleEvaluations": _BALANCER,
            "ConsumedLCUs PeakLCUs": _sets("LoadBalancer"),
            "HTTPCode_Target_2XX_Count HTTPCode_Target_3XX_Count HTTPCode_Target_4XX_Count HTTPCode_Target_5XX_Count "
            "RequestCount TargetConnectionErrorCount TargetResponseTime TargetTLSNegotiationErrorCount": (
                _BALANCER | _TARGETS
            ),
            "AnomalousHostCount HealthyHostCount MitigatedHostCount UnHealthyHostCount HealthyStateDNS "
            "HealthyStateRouting UnhealthyRoutingRequestCount UnhealthyStateDNS UnhealthyStateRouting": _TARGETS,
            "RequestCountPerTarget": _sets("TargetGroup") | _TARGETS,
        }
    ),
    "AWS/ElastiCache": _table(
        {
            "CPUCreditBalance CPUCreditUsage CPUUtilization FreeableMemory NetworkBandwidthInAllowanceExceeded "
            "NetworkBandwidthOutAllowanceExceeded NetworkBytesIn NetworkBytesOut NetworkConntrackAllowanceExceeded "
            "NetworkMaxBytesIn NetworkMaxBytesOut NetworkPacketsIn NetworkPacketsOut "
            "NetworkPacketsPerSecondAllowanceExceeded SwapUsage": _NODE,
            "ActiveDefragHits AuthenticationFailures BytesUsedForCache CacheHitRate CacheHits CacheMisses "
            "ChannelAuthorizationFailures CommandAuthorizationFailures CurrConnections CurrItems "
            "CurrVolatileItems DatabaseCapacityUsagePercentage DatabaseMemoryUsageCountedForEvictPercentage "
            "DatabaseMemoryUsagePercentage EngineCPUUtilization ErrorCount EvalBasedCmds EvalBasedCmdsLatency "
            "Evictions GetTypeCmds HashBasedCmds IsMaster KeyAuthorizationFailures KeysTracked ListBasedCmds "
            "MasterLinkHealthStatus MemoryFragmentationRatio NewConnections PubSubBasedCmds Reclaimed "
            "ReplicationBytes ReplicationLag SaveInProgress SetTypeCmds SortedSetBasedCmds StringBasedCmds "
            "SuccessfulReadRequestLatency SuccessfulWriteRequestLatency TrafficManagementActive": _NODE,
        }
    ),
}
"""What AWS writes of the services that this project uses."""

VALUES: Mapping[str, re.Pattern[str]] = {
    "AvailabilityZone": re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]"),
    "CacheClusterId": re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}"),
    "CacheNodeId": re.compile(r"\d{4}"),
    "ClusterName": re.compile(r"[A-Za-z0-9_-]{1,255}"),
    "LoadBalancer": re.compile(r"app/[A-Za-z0-9-]+/[0-9a-f]{16}"),
    "ServiceName": re.compile(r"[A-Za-z0-9_-]{1,255}"),
    "TargetGroup": re.compile(r"targetgroup/[A-Za-z0-9-]+/[0-9a-f]{16}"),
    "TaskDefinitionFamily": re.compile(r"[A-Za-z0-9_-]{1,255}"),
}
"""Forms of AWS's dimensions, which are names or suffixes, never ARNs."""
