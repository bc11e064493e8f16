"""The cache: evicts results and nothing else, lets nobody in without the token, loses nothing when it goes."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, containers
from tests.infra.program import PRODUCTION, run

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"


def test_only_what_has_a_ttl_is_evicted(stack: Stacks) -> None:
    for name in ("development", "Redis OSS with replicas"):
        graph = stack(name)
        parameters = graph.one("aws:elasticache/parameterGroup:ParameterGroup")
        values = {each["name"]: each["value"] for each in parameters.inputs["parameters"]}
        assert values["maxmemory-policy"] == "volatile-lru"
        group = graph.one(GROUP).inputs
        assert group["parameterGroupName"] == parameters.outputs["name"]
        assert parameters.inputs["family"] == f"{group['engine']}{group['engineVersion'].partition('.')[0]}"


def test_the_token_is_asked_for_over_tls_and_is_the_one_that_services_get(stack: Stacks) -> None:
    graph = stack("development")
    group = graph.one(GROUP)
    assert group.inputs["transitEncryptionEnabled"] is True
    token = graph.one("RandomPassword", "tidegate-dev-cache-token").outputs["result"]
    assert group.inputs.get("authToken") == token
    kept = graph.one("SecretVersion", "tidegate-dev-cache-auth-value").inputs
    assert kept["secretString"] == token
    for service in ("api", "autoscaler", "worker"):
        secrets = {each["name"]: each["valueFrom"] for each in containers(graph)[service]["secrets"]}
        assert secrets["REDIS_PASSWORD"] == kept["secretId"]


def test_aws_does_not_change_the_version_under_the_programs_hands(stack: Stacks) -> None:
    for name in ("development", "production", "Redis OSS with replicas"):
        group = stack(name).one(GROUP)
        pinned = "engineVersion" in group.inputs and "engineVersion" not in group.options.ignore_changes
        assert not (pinned and group.inputs.get("autoMinorVersionUpgrade", True))


def test_the_last_snapshot_has_a_name_of_this_groups_own(stack: Stacks) -> None:
    graph = stack("production")
    name = graph.one(GROUP).inputs["finalSnapshotIdentifier"]
    suffix = graph.one("RandomId")
    assert name == f"tidegate-dev-final-{suffix.outputs['hex']}"
    subnets = graph.one("aws:elasticache/subnetGroup:SubnetGroup")
    engine = graph.one(GROUP).inputs["engine"]
    assert {engine, subnets.outputs["name"]} <= {*suffix.inputs["keepers"].values()}
    assert "finalSnapshotIdentifier" not in stack("development").one(GROUP).inputs


def test_a_preview_shows_that_there_is_a_last_snapshot() -> None:
    graph = run(PRODUCTION, preview=True)
    assert graph.one(GROUP).inputs["finalSnapshotIdentifier"] == "tidegate-dev-final-new"


def test_a_replica_takes_over_by_itself(stack: Stacks) -> None:
    for name, nodes in (("development", 1), ("production", 2), ("Redis OSS with replicas", 3)):
        group = stack(name).one(GROUP).inputs
        assert group["numCacheClusters"] == nodes
        assert group["automaticFailoverEnabled"] is group["multiAzEnabled"] is (nodes > 1)
