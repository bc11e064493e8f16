"""Each rule of the policy pack is broken by a program; the rest of the pack has nothing to say to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build
import pulumi_random as random
import pytest

from infra.policy import __main__ as pack
from infra.policy.rules import RULES, STACK_RULES, taggable, violations
from tests.infra.program import seen
from tests.infra.recording import record

TAGS = {f"tidegate:{name}": name for name in ("project", "stack", "component")} | {"tidegate:tier": "production"}
NOBODY = json.dumps({"Version": "2012-10-17", "Statement": []})


def allow(action: str, resource: str, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role_policy(document: str) -> None:
    aws.iam.RolePolicy("x", role="x", policy=document)


def ingress(**rule: Any) -> None:
    mine = aws.ec2.SecurityGroup("mine", tags=TAGS)
    balancers = aws.ec2.SecurityGroup("balancers", tags=TAGS)
    aws.lb.LoadBalancer("x", security_groups=[balancers.id], tags=TAGS)
    group = balancers if rule.pop("balancer", False) else mine
    values = {"ip_protocol": "tcp", "from_port": 80, "to_port": 80, **rule}
    aws.vpc.SecurityGroupIngressRule("rule", security_group_id=group.id, tags=TAGS, **values)


def inline_ingress() -> None:
    rule = aws.ec2.SecurityGroupIngressArgs(from_port=0, to_port=0, protocol="-1", cidr_blocks=["0.0.0.0/0"])
    aws.ec2.SecurityGroup("x", ingress=[rule], tags=TAGS)


def cache(**values: Any) -> None:
    good: dict[str, Any] = {"at_rest_encryption_enabled": True, "transit_encryption_enabled": True}
    good |= {"final_snapshot_identifier": "x", "snapshot_retention_limit": 7}
    aws.elasticache.ReplicationGroup("x", description="x", tags=TAGS, **{**good, **values})


def bucket(*without: str, **values: Any) -> None:
    made = aws.s3.Bucket("x", tags=TAGS, **values)
    if "encryption" not in without:
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(apply_server_side_encryption_by_default=default)
        rules = [] if "rules" in without else [rule]
        aws.s3.BucketServerSideEncryptionConfiguration("x", bucket=made.id, rules=rules)
    if "block" not in without:
        flags = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
        given: dict[str, Any] = {flag: f"no {flag}" not in without for flag in flags}
        aws.s3.BucketPublicAccessBlock("x", bucket=made.id, **given)
    if "policy" not in without:
        anybody = allow("s3:GetObject", "arn:aws:s3:::x/*", Principal="*")
        aws.s3.BucketPolicy("x", bucket=made.id, policy=anybody if "nobody" in without else NOBODY)


def role(**values: Any) -> None:
    trusted = {"assume_role_policy": allow("sts:AssumeRole", "x", Principal={"Service": "ecs-tasks.amazonaws.com"})}
    aws.iam.Role("x", tags=TAGS, **{**trusted, **values})


def container(**values: Any) -> None:
    definitions = json.dumps([{"name": "x", "image": "x", **values}])
    aws.ecs.TaskDefinition("x", family="x", container_definitions=definitions, tags=TAGS)


def database(**values: Any) -> None:
    good: dict[str, Any] = {"storage_encrypted": True, "skip_final_snapshot": False}
    aws.rds.Instance("x", instance_class="db.t4g.small", tags=TAGS, **{**good, **values})


def repository(**values: Any) -> None:
    aws.ecr.Repository("x", tags=TAGS, **values)


def task(**variables: str) -> None:
    environment = [{"name": name, "value": value} for name, value in variables.items()]
    definitions = json.dumps([{"name": "x", "image": "x", "environment": environment}])
    aws.ecs.TaskDefinition("x", family="x", container_definitions=definitions, tags=TAGS)


def service(public: bool) -> None:
    network = aws.ecs.ServiceNetworkConfigurationArgs(subnets=["x"], assign_public_ip=public)
    aws.ecs.Service("x", network_configuration=network, tags=TAGS)


def files(**values: Any) -> None:
    protect = values.pop("protect", True)
    aws.efs.FileSystem("x", tags=TAGS, opts=pulumi.ResourceOptions(protect=protect), **values)


def kept(value: pulumi.Input[str]) -> None:
    aws.secretsmanager.SecretVersion("x", secret_id="x", secret_string=value)


def generated() -> pulumi.Output[str]:
    return random.RandomPassword("x", length=40).result


AES = [aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="AES256")]
PASSED = {"Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}}
ROLE = "arn:aws:iam::123456789012:role/x"

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def passed(operator: str, service: str) -> dict[str, Any]:
    return {"Condition": {operator: {"iam:PassedToService": service}}}


BROKEN: list[tuple[str, Callable[[], Any]]] = [
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv4="0.0.0.0/0")),
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv6="::/0")),
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv4="0.0.0.0/0", balancer=True, to_port=8787)),
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv4="0.0.0.0/0", balancer=True, ip_protocol="-1")),
    ("only-the-balancer-faces-the-world", inline_ingress),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:GetObject", "*"))),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:*", "arn:aws:s3:::x/*"))),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:GetObject", "arn:aws:s3:::x/*", NotResource="y"))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:PassRole", ROLE))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:PassRole", "arn:aws:iam::123456789012:role/*", **PASSED))),
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv4="0.0.0.0/1")),
    ("only-the-balancer-faces-the-world", lambda: ingress(cidr_ipv6="0::/0")),
    ("only-the-balancer-faces-the-world", lambda: ingress(prefix_list_id="pl-1")),
    ("permissions-are-narrow", lambda: role(inline_policies=[{"name": "x", "policy": allow("s3:GetObject", "*")}])),
    ("permissions-are-narrow", lambda: role(managed_policy_arns=[ADMINISTRATOR])),
    ("permissions-are-narrow", lambda: role(assume_role_policy=allow("sts:AssumeRole", "x", Principal="*"))),
    ("permissions-are-narrow", lambda: role(assume_role_policy=allow("sts:AssumeRole", "x", Principal={"AWS": "*"}))),
    ("permissions-are-narrow", lambda: aws.iam.RolePolicyAttachment("x", role="x", policy_arn=ADMINISTRATOR)),
    ("permissions-are-narrow", lambda: aws.iam.UserPolicy("x", user="x", policy=allow("s3:GetObject", "*"))),
    ("permissions-are-narrow", lambda: aws.iam.GroupPolicy("x", group="x", policy=allow("s3:*", "arn:aws:s3:::x"))),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:GetObject", "**"))),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:GetObject", "arn:aws:*:*:*:*"))),
    ("permissions-are-narrow", lambda: role_policy(allow("s3:GetObject", "arn:aws:s3:::*"))),
    ("permissions-are-narrow", lambda: role_policy(allow("ecs:ListTasks", "*"))),
    ("permissions-are-narrow", lambda: role_policy(allow("iam:PassRol?", ROLE, **PASSED))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:passrole", ROLE))),
    ("pass-role-is-scoped", lambda: role_policy(allow("IAM:PASSROLE", "arn:aws:iam::123456789012:role/*", **PASSED))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:PassRole", ROLE, **passed("StringLike", "*")))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:PassRole", ROLE, **passed("StringEquals", "*")))),
    ("pass-role-is-scoped", lambda: role_policy(allow("iam:PassRole", ROLE, **passed("StringNotEquals", "x")))),
    ("secrets-are-references", lambda: task(REDIS_URL="rediss://:hunter2@cache:6379")),
    ("secrets-are-references", lambda: task(API_KEY="hunter2")),
    ("secrets-are-references", lambda: task(REDIS_PASS="hunter2")),
    ("secrets-are-references", lambda: container(command=["redis-server", "--password=hunter2"])),
    ("secrets-are-references", lambda: aws.ssm.Parameter("db-password", type="String", value="x", tags=TAGS)),
    ("storage-is-encrypted", lambda: aws.ebs.Volume("x", availability_zone="x", tags=TAGS)),
    ("storage-is-encrypted", lambda: database(storage_encrypted=False)),
    ("storage-is-encrypted", lambda: aws.elasticache.Cluster("x", tags=TAGS)),
    ("data-outlives-a-mistake", lambda: database(skip_final_snapshot=True)),
    ("buckets-are-encrypted-and-private", lambda: bucket("no block_public_policy")),
    ("buckets-are-encrypted-and-private", lambda: bucket("nobody")),
    ("buckets-are-encrypted-and-private", lambda: bucket("rules")),
    (
        "logs-are-kept-for-a-time",
        lambda: container(logConfiguration={"logDriver": "awslogs", "options": {"awslogs-create-group": "true"}}),
    ),
    ("everything-is-tagged", lambda: aws.sqs.Queue("x")),
    ("everything-is-tagged", lambda: aws.ec2.Subnet("x", vpc_id="x")),
    ("storage-is-encrypted", lambda: cache(at_rest_encryption_enabled=False)),
    ("storage-is-encrypted", lambda: cache(transit_encryption_enabled=None)),
    ("storage-is-encrypted", files),
    ("storage-is-encrypted", repository),
    ("buckets-are-encrypted-and-private", lambda: bucket("encryption")),
    ("buckets-are-encrypted-and-private", lambda: bucket("block")),
    ("buckets-are-encrypted-and-private", lambda: bucket("policy")),
    ("secrets-are-references", lambda: task(REDIS_PASSWORD="hunter2")),
    ("secrets-are-references", lambda: task(SOMETHING="AKIAABCDEFGHIJKLMNOP")),
    (
        "secrets-are-references",
        lambda: aws.ssm.Parameter("x", type="String", value="-----BEGIN EC PRIVATE KEY-----\nx", tags=TAGS),
    ),
    ("secrets-are-generated", lambda: kept("hunter2")),
    ("secrets-are-generated", lambda: kept(pulumi.Output.secret("hunter2"))),
    ("secrets-are-generated", lambda: cache(auth_token="hunter2hunter2hunter2")),
    ("secrets-are-generated", lambda: database(password="hunter2")),
    ("logs-are-kept-for-a-time", lambda: aws.cloudwatch.LogGroup("x", tags=TAGS)),
    ("everything-is-tagged", lambda: aws.sns.Topic("x", tags={**TAGS, "tidegate:component": ""})),
    ("everything-is-tagged", lambda: aws.ec2.SecurityGroup("x")),
    ("tasks-have-no-public-address", lambda: service(True)),
    ("tasks-have-no-public-address", lambda: task(WORKER_PUBLIC_IP="true")),
    ("data-outlives-a-mistake", lambda: cache(final_snapshot_identifier=None)),
    ("data-outlives-a-mistake", lambda: cache(snapshot_retention_limit=0)),
    ("data-outlives-a-mistake", lambda: bucket(force_destroy=True)),
    ("data-outlives-a-mistake", lambda: repository(force_delete=True, encryption_configurations=AES)),
    ("data-outlives-a-mistake", lambda: files(encrypted=True, protect=False)),
]
FINE: list[Callable[[], Any]] = [
    lambda: ingress(cidr_ipv4="0.0.0.0/0", balancer=True),
    lambda: ingress(cidr_ipv4="10.0.0.0/8"),
    lambda: role_policy(allow("iam:PassRole", ROLE, **PASSED)),
    lambda: role_policy(allow("ecr:GetAuthorizationToken", "*")),
    lambda: role_policy(allow("ecs:ListTasks", "*", Condition={"ArnEquals": {"ecs:cluster": "x"}})),
    lambda: role_policy(allow("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/x:*")),
    lambda: docker_build.Image("x", push=False, tags=["x:1"]),
    role,
    database,
    lambda: task(API_KEEP_ALIVE="75", REDIS_URL="rediss://cache:6379/0"),
    cache,
    bucket,
    lambda: kept(generated().apply(lambda text: f'{{"key": "{text}"}}')),
    lambda: cache(auth_token=generated()),
    lambda: database(password=generated()),
    lambda: repository(encryption_configurations=AES),
    lambda: task(LOG_FORMAT="json"),
    lambda: service(False),
    lambda: files(encrypted=True),
]


@pytest.mark.parametrize(("rule", "program"), BROKEN)
def test_what_breaks_a_rule_is_refused_by_that_rule(rule: str, program: Callable[[], None]) -> None:
    found = violations(seen(record(program)))
    assert {line.partition(":")[0] for line in found} == {rule}, found


@pytest.mark.parametrize("program", FINE)
def test_what_breaks_none_is_let_through(program: Callable[[], None]) -> None:
    assert violations(seen(record(program))) == []


def test_every_rule_is_broken_by_a_program() -> None:
    assert {rule for rule, _ in BROKEN} == {*RULES, *STACK_RULES}


def test_the_pack_gives_pulumi_every_rule() -> None:
    named = [pack.resource_policy(name, rule) for name, rule in RULES.items()]
    assert [each.name for each in named] == [*RULES]
    assert all(each.description for each in named)


def test_what_can_be_tagged_is_known_by_its_type() -> None:
    assert taggable("aws:sqs/queue:Queue")
    assert not taggable("awsx:ec2:Vpc")
    assert not taggable("docker-build:index:Image")
    assert not taggable("aws:ec2/route:Route")
    assert not taggable("random:index/randomPassword:RandomPassword")
