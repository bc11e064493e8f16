"""What a stack costs is reckoned from what the program makes, and the documents say the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra import costs, prices, settings
from tests.infra import cost_tables, metric_tables
from tests.infra.graph import Graph
from tests.infra.program import COMBINATIONS, run, task_definition

ROOT = Path(__file__).parents[2]
TRIED = (
    "development",
    "production",
    "no NAT",
    "no NAT, no quotas endpoint, everything on",
    "three zones",
    "internal",
    "given images",
    "ARM",
    "Redis OSS with replicas",
    "always on demand",
)


def _settings(name: str) -> settings.StackSettings:
    return settings.read({f"tidegate:{key}": value for key, value in COMBINATIONS[name].items()})


def _items(name: str) -> Mapping[str, costs.Item]:
    return {item.what: item for item in costs.idle(_settings(name))}


def _count(graph: Graph, kind: str) -> int:
    return len([each for each in graph.resources if each.type == kind])


def _services(graph: Graph) -> Mapping[str, tuple[int, int, int]]:
    """Tasks of each service that are there without work, with CPU units and MiB of one."""
    found = {}
    for each in graph.of("aws:ecs/service:Service"):
        service = each.name.removeprefix("tidegate-dev-")
        task = task_definition(graph, service).inputs
        found[service] = (int(each.inputs["desiredCount"]), int(task["cpu"]), int(task["memory"]))
    return found


@pytest.mark.parametrize("name", TRIED)
def test_what_is_paid_for_is_what_the_program_makes(name: str) -> None:
    graph, items, wanted = run(COMBINATIONS[name]), _items(name), _settings(name)

    def count(what: str) -> float:
        return items[what].count if what in items else 0

    for service, what in (("api", "API tasks"), ("scheduler", "scheduler"), ("autoscaler", "autoscaler")):
        tasks, cpu, memory = _services(graph)[service]
        assert items[what].count == tasks
        assert items[what].price == pytest.approx(prices.fargate_hour(wanted.platform, cpu, memory))
    assert set(_services(graph)) == {"api", "scheduler", "autoscaler"}
    assert count("secrets") == _count(graph, "aws:secretsmanager/secret:Secret")
    assert count("alarms") == _count(graph, "aws:cloudwatch/metricAlarm:MetricAlarm")
    assert count("alarms of the API's scaling") == 2 * _count(graph, "aws:appautoscaling/policy:Policy")
    assert count("dashboard") == _count(graph, "aws:cloudwatch/dashboard:Dashboard")
    assert count("load balancer") == _count(graph, "aws:lb/loadBalancer:LoadBalancer")
    assert count("private DNS zone") == _count(graph, "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace")
    assert ("GB of images, assumed" in items) == (_count(graph, "aws:ecr/repository:Repository") > 0)
    endpoints = _count(graph, "aws:ec2/vpcEndpoint:VpcEndpoint")
    assert count("interface endpoints") == endpoints * wanted.availability_zones
    (group,) = graph.of("aws:elasticache/replicationGroup:ReplicationGroup")
    assert count("cache nodes") == group.inputs["numCacheClusters"]
    gateways = {"None": 0, "Single": 1, "OnePerAz": wanted.availability_zones}
    (vpc,) = graph.of("awsx:ec2:Vpc")
    assert count("NAT gateways") == gateways[vpc.inputs["natGateways"]["strategy"]]
    (cluster,) = graph.of("aws:ecs/cluster:Cluster")
    assert ("metrics of Container Insights" in items) == (cluster.inputs["settings"][0]["value"] == "enabled")


def test_container_insights_writes_so_many_metrics() -> None:
    names = {"cluster": {"ClusterName"}, "service": {"ClusterName", "ServiceName"}}
    names["family"] = {"ClusterName", "TaskDefinitionFamily"}
    table = metric_tables.AWS["ECS/ContainerInsights"]
    assert dict(prices.INSIGHTS) == {
        what: sum(frozenset(dimensions) in sets for sets in table.values()) for what, dimensions in names.items()
    }


def test_a_month_of_development_by_hand() -> None:
    """Fargate, NAT and its address, load balancer and its two, cache, and what is small."""
    tasks = 730 * ((0.5 + 1 + 0.25) * 0.04048 + (1 + 4 + 1) * 0.004445)
    network = 730 * (0.045 + 3 * 0.005 + 0.0225) + 0.5 + 0.1
    data = 730 * 0.032 * 0.8 + 2 * 0.4 + 2 * 0.1
    watching = 27 * 0.3 + (7 + 4) * 0.1 + 3 + 0.5
    assert costs.total(costs.idle(_settings("development"))) == pytest.approx(tasks + network + data + watching)


def test_a_thousand_hours_of_workers_by_hand() -> None:
    spot, on_demand = costs.work(_settings("development"))
    assert on_demand.total == pytest.approx(1000 * (2 * 0.04048 + 8 * 0.004445))
    assert spot.total == pytest.approx(on_demand.total * 0.3)
    large = {"tidegate:workerCpu": "4096", "tidegate:workerMemory": "16384", "tidegate:workerStorage": "100"}
    _, large_on_demand = costs.work(settings.read(large))
    assert large_on_demand.total == pytest.approx(1000 * (4 * 0.04048 + 16 * 0.004445 + 80 * 0.000111))


def test_workers_that_are_kept_are_paid_for_as_they_run() -> None:
    kept = {"tidegate:workersMin": "5", "tidegate:onDemandBase": "2"}
    items = {item.what: item.count for item in costs.idle(settings.read(kept))}
    assert (items["workers kept on demand"], items["workers kept on Spot"]) == (2, 3)
    dear = {"tidegate:workersMin": "5", "tidegate:useSpot": "false"}
    items = {item.what: item.count for item in costs.idle(settings.read(dear))}
    assert items["workers kept on demand"] == 5
    assert "workers kept on Spot" not in items


def test_a_cache_without_a_known_price_is_named() -> None:
    with pytest.raises(settings.ConfigError, match=r"cacheNodeType is cache\.r5\.large.*infra/prices\.py"):
        costs.idle(settings.read({"tidegate:cacheNodeType": "cache.r5.large"}))


def test_each_line_says_how_its_total_comes_about() -> None:
    assert costs.Item("gateways", 2, 0.045, 730).reckoned == "2 × 730 h × $0.045"
    assert costs.Item("secrets", 5, 0.4).reckoned == "5 × $0.40"
    assert costs.Item("tasks", 1, 0.05, 1000, "why").reckoned == "1 × 1,000 h × $0.05 (why)"


def test_the_document_has_the_costs_of_all_stacks_of_the_repository() -> None:
    text = cost_tables.DOCUMENT.read_text(encoding="utf-8")
    assert cost_tables.stacks(text) == [each.suffixes[0][1:] for each in sorted(ROOT.glob("Pulumi.*.yaml"))]
    assert cost_tables.BASIS.search(text), "docs/operations.md does not say which prices these are"
    assert text == cost_tables.rewrite(text), "docs/operations.md has other costs: run `make docs`"


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert costs.main(["dev"]) == 0
    assert capsys.readouterr().out == costs.tables(cost_tables.settings_of("dev"))
    assert costs.main(["nosuch"]) == 1
    assert "there is no Pulumi.nosuch.yaml" in capsys.readouterr().err
    assert costs.main([]) == 2


def test_prices_of_fargate_stand_in_one_place() -> None:
    """The simulator takes them from there too."""
    sources = [path for top in ("infra", "services", "bench") for path in (ROOT / top).rglob("*.py")]
    numbers = [f"{price:g}" for each in prices.FARGATE.values() for price in (each.vcpu, each.gb)]
    holding = [path.name for path in sources if any(number in path.read_text(encoding="utf-8") for number in numbers)]
    assert holding == ["prices.py"]
