"""The recording engine: everything that a program says arrives, and runs know nothing of each other."""

from __future__ import annotations

import asyncio
import gc

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx
import pulumi_random as random
import pulumi_tls as tls
import pytest
from pulumi.dynamic import Resource, ResourceProvider

from tests.infra import programs
from tests.infra.graph import Message
from tests.infra.recording import UNKNOWN, record


class _Provider(ResourceProvider):
    serialize_as_secret_always = False


class Address(Resource, module="tests", name="Address"):
    """A dynamic resource with an output of its own."""

    address: pulumi.Output[str]

    def __init__(self, name: str, cluster: pulumi.Input[str]) -> None:
        super().__init__(_Provider(), name, {"cluster": cluster, "address": None})


def _stack() -> None:
    """A bit of everything."""
    config = pulumi.Config()
    parent = pulumi.ComponentResource("tests:index:Part", "part")
    password = random.RandomPassword("password", length=40)
    secret = aws.secretsmanager.Secret("secret", opts=pulumi.ResourceOptions(parent=parent))
    version = aws.secretsmanager.SecretVersion(
        "version", secret_id=secret.id, secret_string=password.result, opts=pulumi.ResourceOptions(parent=parent)
    )
    cache = aws.elasticache.ReplicationGroup(
        "cache",
        description=config.require("text"),
        auth_token=password.result,
        num_cache_clusters=2,
        opts=pulumi.ResourceOptions(
            depends_on=[parent],
            protect=True,
            ignore_changes=["num_cache_clusters"],
            replace_on_changes=["port"],
            delete_before_replace=True,
            retain_on_delete=True,
            custom_timeouts=pulumi.CustomTimeouts(create="1h"),
            aliases=[pulumi.Alias(name="old")],
        ),
    )
    pulumi.log.warn("traffic is in the clear", cache)
    pulumi.export("cache", {"host": cache.primary_endpoint_address, "token": cache.auth_token, "again": version.id})


def test_inputs_secrets_and_options() -> None:
    graph = record(_stack, config={"text": "queue"})
    cache = graph.one("aws:elasticache/replicationGroup:ReplicationGroup")
    assert cache.inputs["description"] == "queue"
    assert cache.inputs["numCacheClusters"] == 2.0
    assert len(cache.inputs["authToken"]) == 40
    assert cache.secret_keys == {"authToken"}
    assert graph.one("aws:secretsmanager/secretVersion:SecretVersion").secret_keys == {"secretString"}
    options = cache.options
    assert (options.protect, options.delete_before_replace, options.retain_on_delete) == (True, True, True)
    assert options.ignore_changes == ("numCacheClusters",)
    assert options.replace_on_changes == ("port",)
    assert (dict(options.timeouts), options.aliases) == ({"create": "1h"}, ("old",))
    assert graph.one("aws:secretsmanager/secret:Secret").options.delete_before_replace is None


def test_dependencies_by_data_and_by_option() -> None:
    graph = record(_stack, config={"text": "queue"})
    cache = graph.named("cache")
    assert graph.dependencies("cache") == {"password", "secret", "version"}
    assert {graph.by_urn[urn].name for urn in cache.depends_on} == {"secret", "version"}
    assert graph.dependencies("version") == {"password", "secret"}
    assert graph.named("version").depends_on == frozenset()
    assert graph.before("secret", "cache")
    assert graph.before("password", "cache")
    assert graph.before("part", "cache")
    assert not graph.before("cache", "secret")
    assert not graph.before("cache", "part")
    assert not graph.before("secret", "password")
    assert [child.name for child in graph.children(graph.named("part"))] == ["secret", "version"]


def test_exports_and_messages() -> None:
    graph = record(_stack, config={"text": "queue"})
    assert graph.exports["cache"]["host"].endswith(".cache.amazonaws.com")
    assert graph.secret_exports
    assert graph.warnings == ["traffic is in the clear"]
    assert graph.messages == [Message("warning", "traffic is in the clear", graph.named("cache").urn)]


def test_what_providers_make_is_unknown_in_a_preview() -> None:
    graph = record(_stack, config={"text": "queue"}, preview=True)
    assert graph.named("cache").id == ""
    assert graph.named("cache").inputs["authToken"] is UNKNOWN
    assert graph.named("cache").inputs["description"] == "queue"
    assert graph.named("version").inputs["secretId"] is UNKNOWN
    assert graph.before("password", "cache")


def test_runs_know_nothing_of_each_other() -> None:
    def program() -> None:
        config = pulumi.Config()
        pulumi.export("said", config.get("said"))
        pulumi.export("hidden", config.get_secret("hidden"))
        pulumi.export("where", f"{pulumi.get_project()}/{pulumi.get_stack()}")
        pulumi.export("region", pulumi.Config("aws").get("region"))

    first = record(program, config={"said": "yes", "aws:region": "eu-west-1"}, secrets={"hidden": "x"}, stack="prod")
    second = record(program, project="other")
    assert first.exports == {"said": "yes", "hidden": "x", "where": "tidegate/prod", "region": "eu-west-1"}
    assert first.secret_exports == {("hidden",)}
    assert second.exports == {"where": "other/dev"}
    assert (second.resources, second.secret_exports) == ([], frozenset())


def test_the_order_is_the_same_in_every_run() -> None:
    runs = [[found.urn for found in record(_stack, config={"text": "x"}).resources] for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) == 5


class Wrong(Exception):
    """What a program raises."""


def _raise_at_once() -> None:
    aws.sns.Topic("topic")
    raise Wrong


def _raise_in_an_output() -> None:
    def refuse(_: str) -> str:
        raise Wrong

    aws.sns.Topic("second", display_name=aws.sns.Topic("first").arn.apply(refuse))


@pytest.mark.parametrize("program", [_raise_at_once, _raise_in_an_output])
def test_a_programs_exception_comes_out_and_nothing_is_left(program: object) -> None:
    assert callable(program)
    with pytest.raises(Wrong):
        record(program)
    gc.collect()  # what nobody awaited would warn now, and warnings are errors
    assert len(record(lambda: None).resources) == 0


def test_two_resources_with_one_urn_are_refused() -> None:
    with pytest.raises(ValueError, match="Duplicate resource URN"):
        programs.of(lambda: [aws.sns.Topic("same"), aws.sns.Topic("same")])


def test_what_would_not_run_is_refused() -> None:
    def transform(args: pulumi.ResourceTransformArgs) -> None:
        return None

    with pytest.raises(NotImplementedError, match="use transformations"):
        programs.of(lambda: aws.sns.Topic("topic", opts=pulumi.ResourceOptions(transforms=[transform])))


def test_an_unknown_function_says_what_to_do() -> None:
    with pytest.raises(LookupError, match=r"getImage.*record\(invokes="):
        programs.of(lambda: aws.ecr.get_image(repository_name="x"))


def test_functions_of_providers_answer() -> None:
    def program() -> None:
        pulumi.export("account", aws.get_caller_identity().account_id)
        pulumi.export("zones", aws.get_availability_zones_output(state="available").names)
        pulumi.export("region", aws.get_region().region)
        pulumi.export("partition", aws.get_partition().partition)
        pulumi.export("list", aws.ec2.get_prefix_list(name="com.amazonaws.us-east-1.s3").id)
        pulumi.export("zone", aws.route53.get_zone(name="example.org").zone_id)
        statement = aws.iam.GetPolicyDocumentStatementArgs(actions=["s3:ListBucket"], resources=["arn:aws:s3:::b"])
        pulumi.export("policy", aws.iam.get_policy_document(statements=[statement]).json)

    graph = record(program, invokes={"aws:index/getRegion:getRegion": lambda _: {"region": "eu-west-1"}})
    assert graph.exports["account"] == "123456789012"
    assert graph.exports["zones"] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert graph.exports["region"] == "eu-west-1"
    assert '"Action": ["s3:ListBucket"]' in graph.exports["policy"]
    asked = {invoke.token: invoke.arguments for invoke in graph.invokes}
    assert asked["aws:route53/getZone:getZone"] == {"name": "example.org"}
    assert len(asked) == 7


def test_awsx_is_one_resource_that_answers_its_outputs() -> None:
    def program() -> None:
        vpc = awsx.ec2.Vpc(
            "vpc",
            number_of_availability_zones=2,
            subnet_specs=[
                awsx.ec2.SubnetSpecArgs(type=awsx.ec2.SubnetType.ISOLATED),
                awsx.ec2.SubnetSpecArgs(type=awsx.ec2.SubnetType.PUBLIC),
            ],
            nat_gateways=awsx.ec2.NatGatewayConfigurationArgs(strategy=awsx.ec2.NatGatewayStrategy.NONE),
        )
        repository = aws.ecr.Repository("repository", name="tidegate/api")
        image = awsx.ecr.Image("image", repository_url=repository.repository_url, platform="linux/arm64")
        aws.ec2.SecurityGroup("group", vpc_id=vpc.vpc_id)
        pulumi.export("isolated", vpc.isolated_subnet_ids)
        pulumi.export("private", vpc.private_subnet_ids)
        pulumi.export("cidr", vpc.vpc.cidr_block)
        pulumi.export("zones", vpc.subnets.apply(lambda found: [subnet.availability_zone for subnet in found]))
        pulumi.export("gateways", vpc.nat_gateways)
        pulumi.export("image", image.image_uri)

    graph = record(program)
    assert [found.type for found in graph.resources if found.type.startswith("awsx:")] == [
        "awsx:ec2:Vpc",
        "awsx:ecr:Image",
    ]
    exports = graph.exports
    assert len(set(exports["isolated"])) == 2
    assert all(name.startswith("subnet-") for name in exports["isolated"])
    assert (exports["private"], exports["gateways"], exports["cidr"]) == ([], [], "10.0.0.0/16")
    assert sorted(exports["zones"]) == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1b"]
    assert exports["image"].startswith("123456789012.dkr.ecr.us-east-1.amazonaws.com/tidegate/api@sha256:")
    assert graph.one("aws:ec2/securityGroup:SecurityGroup").inputs["vpcId"].startswith("vpc-")
    assert graph.before("vpc", "group")


def test_a_dynamic_resource_answers_what_the_test_says() -> None:
    def program() -> None:
        pulumi.export("address", Address("scheduler", aws.ecs.Cluster("cluster", name="c").arn).address)

    graph = record(program, outputs={"Address": lambda of: {"address": f"tcp://10.0.0.7:8786 of {of.name}"}})
    assert graph.exports["address"] == "tcp://10.0.0.7:8786 of scheduler"
    found = graph.one("Address")
    assert found.type == "pulumi-python:dynamic/tests:Address"
    assert found.inputs["cluster"] == "arn:aws:ecs:us-east-1:123456789012:cluster/c"
    assert found.secrets == frozenset()


def test_ids_and_arns_have_the_form_that_aws_gives() -> None:
    def program() -> None:
        cluster = aws.ecs.Cluster("cluster")
        task = aws.ecs.TaskDefinition("task", family="tidegate-api", container_definitions="[]")
        service = aws.ecs.Service("service", cluster=cluster.arn, task_definition=task.arn, name="api")
        balancer = aws.lb.LoadBalancer("balancer", name="front")
        target = aws.lb.TargetGroup("target", name="api")
        certificate = aws.acm.Certificate("certificate", domain_name="api.example.org", validation_method="DNS")
        key = tls.PrivateKey("key", algorithm="ECDSA")
        values: dict[str, pulumi.Input[object]] = {
            "cluster": cluster.id,
            "cluster_name": cluster.name,
            "task": task.arn,
            "service": service.id,
            "balancer": balancer.arn_suffix,
            "balancer_id": balancer.id,
            "target": target.arn_suffix,
            "record": certificate.domain_validation_options[0].resource_record_name,
            "pem": key.private_key_pem,
            "role": aws.iam.Role("role", assume_role_policy="{}").arn,
            "role_name": aws.iam.Role("role2", assume_role_policy="{}").name,
            "log": aws.cloudwatch.LogGroup("log", name="/tidegate/dev/api").arn,
            "bucket": aws.s3.Bucket("bucket", bucket="results").arn,
        }
        for name, value in values.items():
            pulumi.export(name, value)

    graph = record(program)
    ecs = "arn:aws:ecs:us-east-1:123456789012"
    exports = graph.exports
    assert exports["cluster"] == f"{ecs}:cluster/{exports['cluster_name']}"
    assert exports["task"] == f"{ecs}:task-definition/tidegate-api:1"
    assert exports["service"] == f"{ecs}:service/{exports['cluster_name']}/api"
    assert exports["balancer"].startswith("app/front/")
    assert exports["balancer_id"].endswith(f":loadbalancer/{exports['balancer']}")
    assert exports["target"].startswith("targetgroup/api/")
    assert exports["record"].endswith(".api.example.org.")
    assert exports["pem"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert ("pem",) in graph.secret_exports
    assert exports["role"].startswith("arn:aws:iam::123456789012:role/role-")
    assert exports["role_name"].startswith("role2-")
    assert exports["log"] == "arn:aws:logs:us-east-1:123456789012:log-group:/tidegate/dev/api"
    assert exports["bucket"] == "arn:aws:s3:::results"


def test_looking_for_what_is_not_there_says_what_is() -> None:
    graph = programs.of(lambda: [aws.sns.Topic("a"), aws.sns.Topic("b")])
    assert [topic.name for topic in graph.of("aws:sns/topic:Topic")] == ["a", "b"]
    assert graph.one("aws:sns/topic:Topic", "b").name == "b"
    with pytest.raises(LookupError, match="2 resources are aws:sns/topic:Topic, not one; there are: a, b"):
        graph.one("aws:sns/topic:Topic")
    with pytest.raises(LookupError, match="0 resources are named 'c'"):
        graph.named("c")


def test_explicit_providers_are_dependencies() -> None:
    def program() -> None:
        provider = aws.Provider("elsewhere", region="eu-west-1")
        aws.sns.Topic("topic", opts=pulumi.ResourceOptions(provider=provider))
        pulumi.ComponentResource("tests:index:Part", "part", opts=pulumi.ResourceOptions(providers=[provider]))

    graph = record(program)
    elsewhere = graph.named("elsewhere")
    assert graph.named("topic").provider == f"{elsewhere.urn}::{elsewhere.id}"
    assert graph.dependencies("topic") == {"elsewhere"}
    assert graph.before("elsewhere", "topic")
    assert graph.named("part").providers == {"aws": f"{elsewhere.urn}::{elsewhere.id}"}
    assert not graph.before("elsewhere", "part")  # it is made of nothing


def test_options_about_the_end_and_the_beginning() -> None:
    def program() -> None:
        first = aws.sns.Topic("first", opts=pulumi.ResourceOptions(import_="arn:aws:sns:us-east-1:123456789012:x"))
        aws.sns.Topic("second", opts=pulumi.ResourceOptions(deleted_with=first, parent=first))

    graph = record(program)
    first, second = graph.named("first"), graph.named("second")
    assert first.options.import_id == "arn:aws:sns:us-east-1:123456789012:x"
    assert second.options.deleted_with == first.urn
    assert graph.before("first", "second")  # a parent that is no component is made first


def test_a_run_is_refused_where_a_loop_runs() -> None:
    async def inside() -> None:
        record(lambda: None)

    with pytest.raises(RuntimeError, match="a test that is no coroutine"):
        asyncio.run(inside())
