"""Cloud Map: the scheduler under its name, and a new one soon after it has come."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, containers, services, variables


def test_a_replaced_scheduler_is_found_within_seconds(stack: Stacks) -> None:
    (record,) = stack("development").one("aws:servicediscovery/service:Service").inputs["dnsConfig"]["dnsRecords"]
    assert record == {"type": "A", "ttl": 10}


def test_the_name_that_services_are_told_is_the_schedulers_own(stack: Stacks) -> None:
    graph = stack("development")
    name = graph.one("aws:servicediscovery/service:Service")
    namespace = graph.one("PrivateDnsNamespace")
    assert name.inputs["dnsConfig"]["namespaceId"] == namespace.id
    assert namespace.inputs["vpc"] == graph.one("awsx:ec2:Vpc").outputs["vpcId"]
    assert services(graph)["scheduler"].inputs.get("serviceRegistries") == {"registryArn": name.outputs["arn"]}
    host = f"{name.inputs['name']}.{namespace.inputs['name']}"
    assert host in variables(containers(graph)["worker"])["SCHEDULER_ADDRESS"]
