"""The API and the load balancer before it."""

from __future__ import annotations

from tests.infra.components.stacks import Stacks, containers, group_id, private_subnets, services
from tests.infra.graph import Graph, Recorded

LISTENER = "aws:lb/listener:Listener"


def listener(graph: Graph, port: int) -> Recorded:
    (found,) = (each for each in graph.of(LISTENER) if each.inputs["port"] == port)
    return found


def forward(graph: Graph) -> list[dict[str, str]]:
    return [{"type": "forward", "targetGroupArn": graph.one("TargetGroup").outputs["arn"]}]


def test_a_failover_of_redis_kills_no_task(stack: Stacks) -> None:
    check = stack("development").one("TargetGroup").inputs["healthCheck"]
    assert check["path"] == "/livez", "/readyz asks Redis"


def test_the_service_registers_where_listeners_lead(stack: Stacks) -> None:
    for name in ("development", "production"):
        graph = stack(name)
        targets, service = graph.one("TargetGroup"), services(graph)["api"].inputs
        container = containers(graph)["api"]
        (registered,) = service["loadBalancers"]
        assert registered["targetGroupArn"] == targets.outputs["arn"]
        assert registered["containerName"] == container["name"]
        port = container["portMappings"][0]["containerPort"]
        assert registered["containerPort"] == port == targets.inputs["port"]
        assert targets.inputs["targetType"] == "ip"


def test_without_a_domain_http_leads_to_the_api(stack: Stacks) -> None:
    graph = stack("development")
    (only,) = graph.of(LISTENER)
    assert (only.inputs["port"], only.inputs["protocol"]) == (80, "HTTP")
    assert only.inputs["defaultActions"] == forward(graph)


def test_with_a_domain_http_leads_to_https_and_nowhere_else(stack: Stacks) -> None:
    graph = stack("production")
    assert listener(graph, 443).inputs["defaultActions"] == forward(graph)
    redirect = {"port": "443", "protocol": "HTTPS", "statusCode": "HTTP_301"}
    assert listener(graph, 80).inputs["defaultActions"] == [{"type": "redirect", "redirect": redirect}]


def test_https_waits_until_its_certificate_is_validated(stack: Stacks) -> None:
    graph = stack("production")
    secure, validation = listener(graph, 443), graph.one("CertificateValidation")
    assert secure.inputs["certificateArn"] == graph.one("aws:acm/certificate:Certificate").outputs["arn"]
    assert validation.urn in secure.property_dependencies["certificateArn"]
    record = graph.one("aws:route53/record:Record", "tidegate-dev-certificate-proof")
    assert graph.before(record, validation)
    assert validation.inputs["validationRecordFqdns"] == [record.outputs["fqdn"]]
    assert secure.inputs["sslPolicy"].startswith("ELBSecurityPolicy-TLS13")


def test_the_domains_name_is_the_load_balancer(stack: Stacks) -> None:
    graph = stack("production")
    balancer = graph.one("LoadBalancer")
    (alias,) = graph.one("aws:route53/record:Record", "tidegate-dev-name").inputs["aliases"]
    assert (alias["name"], alias["zoneId"]) == (balancer.outputs["dnsName"], balancer.outputs["zoneId"])


def test_the_balancer_faces_whom_it_should(stack: Stacks) -> None:
    for name, internal in (("development", False), ("internal", True)):
        graph = stack(name)
        balancer = graph.one("LoadBalancer").inputs
        public = list(graph.one("awsx:ec2:Vpc").outputs["publicSubnetIds"])
        assert balancer["internal"] is internal
        assert balancer["subnets"] == (private_subnets(graph) if internal else public)
        assert balancer["securityGroups"] == [group_id(graph, "balancer")]
        assert balancer["dropInvalidHeaderFields"] is True


def test_it_is_scaled_by_its_load(stack: Stacks) -> None:
    graph = stack("production")
    target = graph.one("aws:appautoscaling/target:Target").inputs
    cluster = graph.one("aws:ecs/cluster:Cluster").outputs["name"]
    assert target["resourceId"] == f"service/{cluster}/{services(graph)['api'].outputs['name']}"
    assert (target["serviceNamespace"], target["scalableDimension"]) == ("ecs", "ecs:service:DesiredCount")
    assert (target["minCapacity"], target["maxCapacity"]) == (2, 8)
    assert "desiredCount" in services(graph)["api"].options.ignore_changes
    specifications = {}
    for policy in graph.of("aws:appautoscaling/policy:Policy"):
        assert [policy.inputs[key] for key in ("resourceId", "scalableDimension", "serviceNamespace")] == [
            target[key] for key in ("resourceId", "scalableDimension", "serviceNamespace")
        ]
        tracked = policy.inputs["targetTrackingScalingPolicyConfiguration"]["predefinedMetricSpecification"]
        specifications[tracked["predefinedMetricType"]] = tracked.get("resourceLabel")
    balancer, targets = graph.one("LoadBalancer"), graph.one("TargetGroup")
    assert specifications == {
        "ECSServiceAverageCPUUtilization": None,
        "ALBRequestCountPerTarget": f"{balancer.outputs['arnSuffix']}/{targets.outputs['arnSuffix']}",
    }


def test_the_first_admin_key_is_a_secret_that_only_the_api_gets(stack: Stacks) -> None:
    graph = stack("development")
    kept = graph.one("SecretVersion", "tidegate-dev-admin-key-value").inputs
    assert kept["secretString"] == graph.one("RandomPassword", "tidegate-dev-admin-key").outputs["result"]
    for service, container in containers(graph).items():
        got = [each["name"] for each in container["secrets"] if each["valueFrom"] == kept["secretId"]]
        assert got == (["API_ADMIN_KEY"] if service == "api" else [])
