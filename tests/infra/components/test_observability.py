"""Alarms: silence counts where it means trouble, and somebody hears of them."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, services
from tests.infra.graph import Graph, Recorded


def alarms(graph: Graph) -> dict[str, Recorded]:
    return {each.inputs["name"].removeprefix("tidegate-dev-"): each for each in graph.of("MetricAlarm")}


def test_silence_is_alarming_where_something_must_always_be_heard(stack: Stacks) -> None:
    missing = {name: each.inputs["treatMissingData"] for name, each in alarms(stack("development")).items()}
    assert {name for name, means in missing.items() if means == "breaching"} == {
        "autoscaler-silent",
        "no-healthy-target",
    }
    assert set(missing.values()) == {"breaching", "notBreaching"}


def test_all_that_the_operator_must_know_has_an_alarm(stack: Stacks) -> None:
    assert alarms(stack("development")).keys() == {
        "api-errors", "balancer-errors", "no-healthy-target", "autoscaler-silent", "scheduler-memory",
        "cache-memory", "queue-age",
    }  # fmt: skip


def test_alarms_watch_this_stacks_own(stack: Stacks) -> None:
    graph = stack("development")
    known = alarms(graph)
    balancer = {"LoadBalancer": graph.one("LoadBalancer").outputs["arnSuffix"]}
    targets = {**balancer, "TargetGroup": graph.one("TargetGroup").outputs["arnSuffix"]}
    assert known["balancer-errors"].inputs["dimensions"] == balancer
    assert known["api-errors"].inputs["dimensions"] == known["no-healthy-target"].inputs["dimensions"] == targets
    assert known["scheduler-memory"].inputs["dimensions"] == {
        "ClusterName": graph.one("aws:ecs/cluster:Cluster").outputs["name"],
        "ServiceName": services(graph)["scheduler"].outputs["name"],
    }
    group = graph.one("aws:elasticache/replicationGroup:ReplicationGroup")
    assert known["cache-memory"].inputs["dimensions"] == {"CacheClusterId": f"{group.id}-001"}


def test_an_alarm_depends_on_what_it_watches_and_on_nothing_else(stack: Stacks) -> None:
    """Or a preview that replaces one of them says that all alarms change."""
    graph = stack("development")
    kinds = {
        name: {urn.split("::")[2].rpartition(":")[2] for urn in alarm.property_dependencies.get("dimensions", ())}
        for name, alarm in alarms(graph).items()
    }
    assert kinds == {
        "api-errors": {"LoadBalancer", "TargetGroup"},
        "no-healthy-target": {"LoadBalancer", "TargetGroup"},
        "balancer-errors": {"LoadBalancer"},
        "scheduler-memory": {"Cluster", "Service"},
        "cache-memory": {"ReplicationGroup"},
        "autoscaler-silent": set(),
        "queue-age": set(),
    }


def test_alarms_are_heard_where_there_is_a_topic(stack: Stacks) -> None:
    given = stack("alarms to a topic")
    topics = {
        "development": None,
        "production": stack("production").one("aws:sns/topic:Topic").outputs["arn"],
        "alarms to a topic": "arn:aws:sns:us-east-1:123456789012:ops",
    }
    assert given.of("aws:sns/topic:Topic") == []
    for name, topic in topics.items():
        for alarm in alarms(stack(name)).values():
            wanted = [topic] if topic else []
            assert alarm.inputs.get("alarmActions", []) == alarm.inputs.get("okActions", []) == wanted


def test_logs_are_kept_for_the_set_time(stack: Stacks) -> None:
    for name, days in (("development", 14), ("production", 90)):
        groups = stack(name).of("aws:cloudwatch/logGroup:LogGroup")
        assert {each.inputs["retentionInDays"] for each in groups} == {days}
        assert len(groups) == (5 if name == "production" else 4)
