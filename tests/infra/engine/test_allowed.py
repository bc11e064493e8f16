"""The reading of IAM's documents by which calls are held against them."""

from __future__ import annotations

import pytest

from tests.infra.engine.allowed import Need

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/tidegate-dev"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/tidegate-dev/abc"
STOP = {
    "Effect": "Allow",
    "Action": ["ecs:StopTask"],
    "Resource": [f"{TASK.rpartition('/')[0]}/*"],
    "Condition": {"StringEquals": {"aws:ResourceTag/fleet": "dev"}, "ArnEquals": {"ecs:cluster": CLUSTER}},
}
OURS = {"aws:ResourceTag/fleet": "dev", "ecs:cluster": CLUSTER}


def test_what_a_statement_says_is_allowed() -> None:
    assert Need("ecs:StopTask", TASK, OURS).allowed_by(STOP)
    assert Need("s3:GetObject", "arn:aws:s3:::b/c/d").allowed_by(
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    )


@pytest.mark.parametrize(
    "need",
    [
        Need("ecs:RunTask", TASK, OURS),
        Need("ecs:StopTask", TASK.replace("tidegate-dev", "other"), OURS),
        Need("ecs:StopTask", TASK, {**OURS, "aws:ResourceTag/fleet": "prod"}),
        Need("ecs:StopTask", TASK, {**OURS, "ecs:cluster": "other"}),
        Need("ecs:StopTask", TASK, {"ecs:cluster": CLUSTER}),
    ],
    ids=["another action", "another resource", "another tag", "another cluster", "no tag"],
)
def test_nothing_else_is(need: Need) -> None:
    assert not need.allowed_by(STOP)


def test_a_condition_of_another_kind_is_no_matter_of_guessing() -> None:
    with pytest.raises(KeyError):
        Need("ecs:StopTask", TASK, OURS).allowed_by({**STOP, "Condition": {"StringLike": {"ecs:cluster": "*"}}})
