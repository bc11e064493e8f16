"""IAM documents: sound ones pass, and what AWS's tables contradict is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pulumi_aws as aws
import pytest

from tests.infra import iam, iam_tables, programs
from tests.infra.iam import Kind
from tests.infra.wire import UNKNOWN

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/tidegate"
STATEMENT: dict[str, Any] = {
    "Sid": "Start",
    "Effect": "Allow",
    "Action": ["ecs:RunTask"],
    "Resource": ["arn:aws:ecs:us-east-1:123456789012:task-definition/worker:*"],
    "Condition": {"ArnEquals": {"ecs:cluster": CLUSTER}},
}
TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
    "Action": "sts:AssumeRole",
    "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
}
BUCKET: dict[str, Any] = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ["arn:aws:s3:::results", "arn:aws:s3:::results/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
LOGS = "arn:aws:logs:us-east-1:123456789012:log-group:/tidegate/dev/api"
ECS_TASK = "arn:aws:ecs:us-east-1:123456789012:task/tidegate/*"


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(action: str, *resources: str, **conditions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": list(resources)}
    return {**made, "Condition": conditions} if conditions else made


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (STATEMENT, Kind.IDENTITY),
        (
            _allow("iam:PassRole", "arn:aws:iam::123456789012:role/a", StringEquals={"iam:PassedToService": "x"}),
            "identity",
        ),
        (_allow("ecs:StopTask", ECS_TASK, StringEquals={"aws:ResourceTag/tidegate:fleet": "dev"}), Kind.IDENTITY),
        (_allow("ecs:TagResource", ECS_TASK, StringEquals={"ecs:CreateAction": "RunTask"}), Kind.IDENTITY),
        (_allow("ecr:GetAuthorizationToken", "*"), Kind.IDENTITY),
        (_allow("ssmmessages:OpenDataChannel", "*"), Kind.IDENTITY),
        (_allow("logs:PutLogEvents", f"{LOGS}:*"), Kind.IDENTITY),
        (_allow("logs:CreateLogStream", f"{LOGS}:*"), Kind.IDENTITY),
        (_allow("s3:GetObject", "arn:aws:s3:::results/*"), Kind.IDENTITY),
        (_allow("s3:ListBucket", "arn:aws:s3:::results", StringLike={"s3:prefix": "a/*"}), Kind.IDENTITY),
        (
            _allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:1:secret:a/b-AbCdEf"),
            Kind.IDENTITY,
        ),
        (
            _allow("ecs:RunTask", "*", **{"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}) | {"Effect": "Deny"},
            "identity",
        ),
        (TRUST, Kind.TRUST),
        (BUCKET, Kind.RESOURCE),
        (_allow("sns:Publish", "*") | {"Principal": {"Service": "cloudwatch.amazonaws.com"}}, Kind.RESOURCE),
        ({"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "ecr:BatchGetImage"}, Kind.REPOSITORY),
    ],
)
def test_sound_documents_pass(statement: dict[str, Any], kind: Kind) -> None:
    document = _document(statement)
    assert iam.problems(document, where="here", kind=Kind(kind)) == []
    assert iam.problems(json.dumps(document), where="here", kind=Kind(kind)) == []


Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d, s: d.update(Version="2008-10-17"), "Version is '2008-10-17'"),
        (lambda d, s: d.pop("Version"), "Version is None"),
        (lambda d, s: d.update(Statements=[]), "Statements is no element of a document"),
        (lambda d, s: d.update(Statement=[]), "it has no Statement"),
        (lambda d, s: d["Statement"].append(s), "Sid 'Start' is there more than once"),
        (lambda d, s: s.update(Sid="start it"), "Sid has other characters"),
        (lambda d, s: s.update(Actions=s.pop("Action")), "Actions is no element of a statement"),
        (lambda d, s: s.update(Actions=s.pop("Action")), "Action is missing"),
        (lambda d, s: s.update(Effect="allow"), "Effect is 'allow'"),
        (lambda d, s: s.update(NotAction=s.pop("Action")), "NotAction allows all but something"),
        (lambda d, s: s.update(NotResource=s.pop("Resource")), "NotResource allows all but something"),
        (lambda d, s: s.update(Principal="*"), "Principal is there: a role's policy has none"),
        (lambda d, s: s.update(Action=["ecs:RunTasks"]), "action 'ecs:RunTasks' does not exist"),
        (lambda d, s: s.update(Action=["escs:RunTask"]), "action 'escs:RunTask' does not exist"),
        (lambda d, s: s.update(Action=["ecs:runTask"]), "action 'ecs:runTask' is written 'ecs:RunTask'"),
        (lambda d, s: s.update(Action=["ecs:Run*"]), "action 'ecs:Run*' has a wildcard"),
        (lambda d, s: s.update(Action="*"), "action '*' has a wildcard"),
        (lambda d, s: s.update(Action=7), "action 7 does not exist"),
        (lambda d, s: s.pop("Resource"), "Resource is missing"),
        (lambda d, s: s.update(Resource="*"), "ecs:RunTask is allowed on *, and knows resources (task-definition)"),
        (lambda d, s: s.update(Resource="worker:*"), "resource 'worker:*' is no ARN"),
        (lambda d, s: s.update(Resource=CLUSTER), f"resource '{CLUSTER}' is none that ecs:RunTask knows"),
        (lambda d, s: s["Resource"].append(CLUSTER), f"resource '{CLUSTER}' is none that ecs:RunTask knows"),
        (
            lambda d, s: s["Action"].append("ecs:StopTask"),
            "ecs:StopTask is allowed on none of these resources: name task",
        ),
        (lambda d, s: s["Action"].append("ecr:GetAuthorizationToken"), "it knows no resources, allow it on *"),
        (lambda d, s: s.update(Condition={"ArnEqual": {"ecs:cluster": CLUSTER}}), "operator 'ArnEqual' does not exist"),
        (
            lambda d, s: s.update(Condition={"ArnEquals": {"ecs:clustr": CLUSTER}}),
            "key 'ecs:clustr' is none that ecs:RunTask",
        ),
        (lambda d, s: s.update(Condition={"ArnEquals": {"ecs:cluster": None}}), "has None: give strings"),
        (lambda d, s: s.update(Condition=["ecs:cluster"]), "Condition is no mapping"),
        (
            lambda d, s: s.update(Condition={"StringEquals": {"iam:PassedToService": "ecs"}}),
            "key 'iam:PassedToService' is none that ecs:RunTask knows",
        ),
        (
            lambda d, s: s.update(Condition={"Bool": {"aws:SourceAccount": "1"}}),
            "condition Bool is not for aws:SourceAccount",
        ),
        (
            lambda d, s: s.update(Condition={"StringEquals": {"aws:SecureTransport": "true"}}),
            "StringEquals is not for aws:SecureTransport, which is Bool",
        ),
        (lambda d, s: s.update(Condition={"StringEquals": {"aws:TagKeys": "a"}}), "the key has several values"),
    ],
)
def test_what_the_tables_contradict_is_found(change: Change, problem: str) -> None:
    statement = copy.deepcopy(STATEMENT)
    document = _document(statement)
    change(document, statement)
    found = iam.problems(document, where="here")
    assert any(text.startswith("here: ") and problem in text for text in found), found


@pytest.mark.parametrize(
    ("kind", "statement", "problem"),
    [
        (Kind.TRUST, {key: TRUST[key] for key in ("Effect", "Action")}, "Principal is missing"),
        (Kind.TRUST, TRUST | {"Principal": "*"}, "anybody could take the role"),
        (Kind.TRUST, TRUST | {"Principal": {"AWS": "*"}}, "anybody could take the role"),
        (
            Kind.TRUST,
            TRUST | {"Principal": {"Service": "ecs-task.amazonaws.com"}},
            "'ecs-task.amazonaws.com' is not known",
        ),
        (Kind.TRUST, TRUST | {"Principal": {"Service": "ecs-tasks"}}, "Principal 'ecs-tasks' is not known"),
        (Kind.TRUST, TRUST | {"Principal": {"Account": "1"}}, "Account, which is no kind of principal"),
        (Kind.TRUST, TRUST | {"Principal": {"AWS": "root"}}, "'root' is no account"),
        (Kind.TRUST, TRUST | {"Principal": "ecs-tasks.amazonaws.com"}, "give {'Service': …}"),
        (Kind.TRUST, TRUST | {"Action": "sts:GetCallerIdentity"}, "is none of taking a role"),
        (Kind.TRUST, TRUST | {"Resource": "*"}, "Resource is there"),
        (Kind.TRUST, TRUST | {"Condition": {"StringEquals": {"aws:SourceAcount": "1"}}}, "'aws:SourceAcount' is none"),
        (Kind.RESOURCE, BUCKET | {"Resource": "arn:aws:sns:us-east-1:1:topic"}, "is none that"),
        (Kind.RESOURCE, BUCKET | {"Action": "s3:Fetch*"}, "action 's3:Fetch*' does not exist"),
        (
            Kind.RESOURCE,
            BUCKET | {"Condition": {"Bool": {"aws:SecureTransports": "false"}}},
            "'aws:SecureTransports' is none",
        ),
        (Kind.RESOURCE, BUCKET | {"Effect": "Allow"}, "has a wildcard"),
        (Kind.RESOURCE, BUCKET | {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, "is allowed on *"),
        (Kind.REPOSITORY, BUCKET | {"Action": "ecr:BatchGetImage"}, "Resource is there"),
    ],
)
def test_each_kind_has_its_form(kind: Kind, statement: dict[str, Any], problem: str) -> None:
    found = iam.problems(_document(statement), where="here", kind=kind)
    assert any(problem in text for text in found), found


def test_what_is_no_document_is_found() -> None:
    assert "no JSON" in iam.problems("{", where="here")[0]
    assert "list in the place of a document" in iam.problems([], where="here")[0]


def test_wide_permissions_need_leave() -> None:
    document = _document(_allow("ecs:List*", "*"))
    found = iam.problems(document, where="here")
    assert any("has a wildcard" in text for text in found)
    assert any("ecs:ListTasks is allowed on *" in text for text in found)
    reasons = dict.fromkeys(iam_tables.actions("ecs:List*"), "read only")
    assert iam.problems(document, where="here", wildcards=["ecs:List*"], reasons=reasons) == []
    empty = dict.fromkeys(reasons, " ")
    assert iam.problems(document, where="here", wildcards=["ecs:List*"], reasons=empty) != []


def test_length_is_counted_without_white_space() -> None:
    document = json.dumps(_document(STATEMENT), indent=4)
    size = len("".join(document.split()))
    assert iam.problems(document, where="here", limit=size) == []
    assert iam.problems(document, where="here", limit=size - 1) == [f"here: {size} characters, of {size - 1}"]


def test_documents_are_found_where_they_hide() -> None:
    def program() -> None:
        role = aws.iam.Role("role", assume_role_policy=json.dumps(_document(TRUST)))
        long = _document(_allow("ecs:StopTask", *(f"{ECS_TASK}{n:080}" for n in range(50))))
        for name in ("one", "two"):
            aws.iam.RolePolicy(name, role=role.name, policy=json.dumps(long))
        aws.iam.Policy("managed", policy=json.dumps(_document(STATEMENT)))
        bucket = aws.s3.Bucket("bucket")
        aws.s3.BucketPolicy("bucket", bucket=bucket.id, policy=bucket.arn.apply(lambda arn: json.dumps({"arn": arn})))
        aws.ec2.VpcEndpoint("endpoint", vpc_id="vpc-1", service_name="x")
        aws.ecr.LifecyclePolicy("lifecycle", repository="r", policy="{}")

    graph = programs.of(program)
    found = list(iam.documents(graph))
    assert [(document.where, document.kind) for document in found] == [
        ("aws:iam/role:Role 'role' assumeRolePolicy", Kind.TRUST),
        ("aws:iam/policy:Policy 'managed' policy", Kind.IDENTITY),
        ("aws:ecr/lifecyclePolicy:LifecyclePolicy 'lifecycle' policy", Kind.LIFECYCLE),
        ("aws:iam/rolePolicy:RolePolicy 'one' policy", Kind.IDENTITY),
        ("aws:iam/rolePolicy:RolePolicy 'two' policy", Kind.IDENTITY),
        ("aws:s3/bucketPolicy:BucketPolicy 'bucket' policy", Kind.RESOURCE),
    ]
    assert len(iam.sizes(graph)) == 1
    assert "its inline policies have" in iam.sizes(graph)[0]


def test_inline_policies_of_a_role_are_documents_and_unknown_ones_are_not() -> None:
    inputs = {"assumeRolePolicy": UNKNOWN, "inlinePolicies": [{"name": "a", "policy": "{}"}]}
    found = list(iam.documents(programs.graph_of(programs.bare("aws:iam/role:Role", inputs))))
    assert [document.kind for document in found] == [Kind.IDENTITY]


RULE: dict[str, Any] = {
    "rulePriority": 1,
    "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
    "action": {"type": "expire"},
}


def _rules(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"rules": [copy.deepcopy(RULE) | change for change in changes]}


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({}, "it has no rules"),
        ({"rules": [RULE], "Version": "1"}, "Version is no element"),
        (_rules({}, {}), "rulePriority 1 is there 2 times"),
        (_rules({"rulePriority": 0}), "rulePriority is 0"),
        (_rules({"selections": {}}), "selections is no element of a rule"),
        (_rules({"action": {"type": "delete"}}), "action is {'type': 'delete'}"),
        (_rules({"selection": None}), "selection is missing"),
        (_rules({"selection": RULE["selection"] | {"tagStatus": "none"}}), "tagStatus is 'none'"),
        (_rules({"selection": RULE["selection"] | {"tagStatus": "tagged"}}), "needs tagPatternList or tagPrefixList"),
        (
            _rules({"selection": RULE["selection"] | {"tagPrefixList": ["a"]}}),
            "tagPrefixList is for tagStatus tagged only",
        ),
        (
            _rules({"selection": RULE["selection"] | {"tagStatus": "tagged", "tagPatternList": "v*"}}),
            "tagPatternList is 'v*': give a list",
        ),
        (
            _rules({"selection": RULE["selection"] | {"tagStatus": "tagged", "tagPatternList": ["*a*b*c*d*"]}}),
            "more than 4 wildcards",
        ),
        (_rules({"selection": RULE["selection"] | {"tags": []}}), "tags is no element of a selection"),
        (_rules({"selection": RULE["selection"] | {"countUnit": None}}), "counts days"),
        (_rules({"selection": RULE["selection"] | {"countType": "imageCountMoreThan"}}), "countUnit is for ages only"),
        (_rules({"selection": RULE["selection"] | {"countType": "count"}}), "countType is 'count'"),
        (_rules({"selection": RULE["selection"] | {"countNumber": 0}}), "countNumber is 0"),
        (
            _rules({"selection": RULE["selection"] | {"tagStatus": "any"}}, {"rulePriority": 2}),
            "tagStatus any comes last",
        ),
    ],
)
def test_lifecycle_policies(policy: dict[str, Any], problem: str) -> None:
    sound = _rules({}, {"rulePriority": 2, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan"}})
    sound["rules"][1]["selection"]["countNumber"] = 10
    assert iam.problems(json.dumps(sound), where="here", kind=Kind.LIFECYCLE) == []
    found = iam.problems(json.dumps(policy), where="here", kind=Kind.LIFECYCLE)
    assert any(problem in text for text in found), found


@pytest.mark.parametrize(
    ("arn", "template", "fits"),
    [
        ("arn:aws:s3:::b/*", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", True),
        ("arn:aws:s3:::b/*", "arn:${Partition}:s3:::${BucketName}", False),
        ("arn:aws:s3:::b", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", False),
        ("arn:aws:s3:::${aws:username}/*", "arn:${Partition}:s3:::${BucketName}/${ObjectName}", True),
        ("arn:aws:iam::1:role/a/b", "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}", True),
        ("arn:aws:iam:us-east-1:1:role/a", "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}", False),
        ("arn:aws:ecs:*:*:*", "arn:${Partition}:ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}", True),
        ("arn:aws:ecs:r:1:task/?/*", "arn:${Partition}:ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}", True),
        ("arn:aws:ecs:r:1:task/x", "arn:${Partition}:ecs:${Region}:${Account}:task/${ClusterName}/${TaskId}", False),
        ("worker", "arn:${Partition}:s3:::${BucketName}", False),
    ],
)
def test_arns_and_templates(arn: str, template: str, fits: bool) -> None:
    assert iam_tables.fits(arn, template) is fits
