"""Orders that data flow does not give. What is made first is deleted last: each order counts for `destroy` too."""

from __future__ import annotations

from tests.infra.components.stacks import PREFIX, Stacks, rules_of, services, short
from tests.infra.graph import Graph, Recorded

STACKS = ("development", "production", "no NAT", "no NAT, no quotas endpoint, everything on", "shared files")


def fleet(graph: Graph) -> Recorded:
    return graph.one("FleetStop")


def test_the_fleet_is_stopped_when_nobody_starts_workers_any_more(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        assert graph.before(fleet(graph), services(graph)["autoscaler"])


def test_the_fleet_is_stopped_while_there_is_all_that_a_worker_needs_to_drain(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        needed = [
            *graph.of("ClusterCapacityProviders"),
            *graph.of("aws:elasticache/replicationGroup:ReplicationGroup"),
            *graph.of("aws:s3/bucket:Bucket"),
            *graph.of("MountTarget"),
            *graph.of("VpcEndpoint"),
            *graph.of("awsx:ec2:Vpc"),
            *rules_of(graph, "worker"),
            *rules_of(graph, "cache"),
            *rules_of(graph, "scheduler"),
            *(each for each in graph.of("RolePolicy") if short(each).startswith("worker-")),
            graph.one("aws:cloudwatch/logGroup:LogGroup", f"{PREFIX}worker-logs"),
            services(graph)["scheduler"],
        ]
        late = [each.where for each in needed if not graph.before(each, fleet(graph))]
        assert late == []
        assert len(needed) > 20


def test_rules_are_there_as_long_as_the_tasks_that_need_them(stack: Stacks) -> None:
    for name in STACKS:
        graph = stack(name)
        for part, service in services(graph).items():
            groups = [part, "balancer", "cache", *(["endpoints"] if graph.of("VpcEndpoint") else [])]
            for group in groups:
                rules = rules_of(graph, group)
                assert rules, group
                late = [each.name for each in rules if not graph.before(each, service)]
                assert late == [], f"{name}: {part} may be there without them"


def test_rules_of_shared_files_are_there_before_who_mounts_them(stack: Stacks) -> None:
    graph = stack("shared files")
    assert rules_of(graph, "files")
    for rule in rules_of(graph, "files"):
        assert graph.before(rule, services(graph)["autoscaler"])
        assert graph.before(rule, fleet(graph))


def test_the_log_group_of_insights_is_there_before_ecs_would_make_it(stack: Stacks) -> None:
    graph = stack("production")
    logs = graph.one("aws:cloudwatch/logGroup:LogGroup", f"{PREFIX}insights")
    cluster = graph.one("aws:ecs/cluster:Cluster")
    assert logs.inputs["name"] == f"/aws/ecs/containerinsights/{cluster.inputs['name']}/performance"
    assert graph.before(logs, cluster)
    assert {"name": "containerInsights", "value": "enabled"} in cluster.inputs["settings"]
    assert {"name": "containerInsights", "value": "disabled"} in stack("development").one(
        "aws:ecs/cluster:Cluster"
    ).inputs["settings"]
