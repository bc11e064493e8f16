"""All checks together: a sound program passes, and each check has its say over a broken one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.infra import programs
from tests.infra.checks import check

EMITTED = {"Tidegate": {"Rounds": frozenset({frozenset({"Stack"})})}}
LOG_OPTIONS = {"awslogs-group": "/a", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "a"}


def _allow(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _trust() -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _task(**changes: Any) -> aws.ecs.TaskDefinition:
    role = aws.iam.Role("execution", assume_role_policy=_trust())
    log = {"logDriver": "awslogs", "options": LOG_OPTIONS}
    container = {"name": "api", "image": "i", "logConfiguration": log, **changes}
    return aws.ecs.TaskDefinition(
        "task",
        family="api",
        cpu="256",
        memory="512",
        network_mode="awsvpc",
        requires_compatibilities=["FARGATE"],
        execution_role_arn=role.arn,
        container_definitions=pulumi.Output.json_dumps([container]),
    )


def _alarm(name: str = "Rounds") -> aws.cloudwatch.MetricAlarm:
    return aws.cloudwatch.MetricAlarm(
        "alarm",
        namespace="Tidegate",
        metric_name=name,
        dimensions={"Stack": "dev"},
        statistic="Sum",
        period=60,
        evaluation_periods=1,
        comparison_operator="LessThanThreshold",
        threshold=1,
        treat_missing_data="breaching",
    )


def _sound() -> None:
    definition = _task(environment=[{"name": "TOPIC", "value": aws.sns.Topic("topic").arn}])
    aws.iam.RolePolicy("run", role="execution", policy=definition.arn.apply(lambda arn: _allow("ecs:RunTask", arn)))
    _alarm()


@pytest.mark.parametrize("preview", [False, True])
def test_a_sound_program_passes(preview: bool) -> None:
    assert check(programs.of(_sound, preview=preview), EMITTED) == []


def _many_policies() -> None:
    # Of different contents, and short enough each.
    for name in ("one", "two"):
        arns = [f"arn:aws:s3:::{name}-{number:060}/*" for number in range(80)]
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": arns}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        aws.iam.RolePolicy(name, role="r", policy=document)


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: aws.ecs.Cluster("cluster", settings=cast(Any, "enabled")), "settings is 'enabled', not a list"),
        (lambda: _task(stopTimeout=121), "stopTimeout is 121"),
        (lambda: aws.iam.RolePolicy("run", role="r", policy=_allow("ecs:RunTask", "*")), "ecs:RunTask is allowed on *"),
        (lambda: aws.iam.RolePolicy("run", role="r", policy=_allow("ecs:Run", "*")), "'ecs:Run' does not exist"),
        (lambda: aws.iam.Role("role", assume_role_policy=_allow("sts:AssumeRole", "*")), "Principal is missing"),
        (_many_policies, "its inline policies have"),
        (lambda: _alarm("Silence"), "nobody writes Tidegate 'Silence'"),
        (
            lambda: aws.sns.Topic("a", display_name=f"x-{aws.sns.Topic('b').name}"),
            "displayName has an Output in its text",
        ),
        (lambda: pulumi.export("name", f"x-{aws.sns.Topic('b').name}"), "output name has an Output in its text"),
        (lambda: pulumi.log.warn("bucket_old is deprecated: use bucket"), "deprecated: bucket_old"),
    ],
)
def test_each_check_has_its_say(build: Callable[[], object], problem: str) -> None:
    found = check(programs.of(build), EMITTED)
    assert any(problem in text for text in found), found


def test_leave_to_be_wide_is_passed_on() -> None:
    graph = programs.of(lambda: aws.iam.RolePolicy("run", role="r", policy=_allow("ecs:ListT*", "*")))
    assert len(check(graph, {})) > 1
    reasons = dict.fromkeys(("ecs:ListTagsForResource", "ecs:ListTaskDefinitionFamilies"), "reads")
    reasons |= dict.fromkeys(("ecs:ListTaskDefinitions", "ecs:ListTasks"), "reads")
    assert check(graph, {}, reasons=reasons, wildcards=["ecs:ListT*"]) == []


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(0, 5), tags=st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)), preview=st.booleans()
)
def test_by_hypothesis_runs_repeat(count: int, tags: dict[str, str], preview: bool) -> None:
    def build() -> None:
        for number in range(count):
            aws.sns.Topic(f"topic{number}", tags=tags)

    graph = programs.of(build, preview=preview)
    assert [found.name for found in graph.resources] == [f"topic{number}" for number in range(count)]
    assert all(found.inputs.get("tags", {}) == tags for found in graph.resources)
    assert check(graph, {}) == []


def test_a_program_of_a_usual_size_is_quick() -> None:
    def build() -> None:
        role = aws.iam.Role("role", assume_role_policy=_trust())
        for number in range(120):
            aws.iam.RolePolicy(
                f"p{number}", role=f"r{number}", policy=role.arn.apply(lambda arn: _allow("iam:PassRole", arn))
            )

    check(programs.of(build), {})
    began = time.process_time()
    assert check(programs.of(build), {}) == []
    assert time.process_time() - began < 4  # half a second on an idle machine
