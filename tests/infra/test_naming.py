from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.naming import LIMITS, PULUMI_SUFFIX, Names, fit, plain

LONG = Names("tidegate", "a-stack-whose-name-is-longer-than-most-load-balancers-may-have")


@pytest.mark.parametrize("kind", [*LIMITS, ""])
def test_logical_names_leave_room_for_pulumis_suffix(kind: str) -> None:
    limit = LIMITS.get(kind, 100)
    names = [LONG.logical(part, kind) for part in ("api", "scheduler-task-definition")]
    assert all(len(name) + PULUMI_SUFFIX <= limit for name in names)
    assert len({*names}) == 2


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80), st.sampled_from(sorted(LIMITS)))
def test_names_are_what_aws_allows_or_refused(project: str, stack: str, kind: str) -> None:
    names = Names(project, stack)
    try:
        name = names.logical("part", kind)
    except ValueError:
        return
    assert plain(name) == name
    assert len(names.namespace.split(".")[0]) <= 63


def test_names_that_begin_alike_stay_apart() -> None:
    assert fit("a" * 50, 20) != fit("a" * 49 + "b", 20)
    assert fit("short", 20) == "short"
    assert len(fit("a" * 50, 20)) == 20


def test_what_others_know_by_name() -> None:
    names = Names("tidegate", "Dev_1")
    assert names.prefix == "tidegate-dev-1"
    assert names.log_group("api") == "/tidegate/dev-1/api"
    assert names.namespace == "tidegate-dev-1.internal"
    assert names.repository == "tidegate/dev-1"
    assert names.tags("network", "production")["tidegate:stack"] == "Dev_1"


def test_no_two_limits_are_forgotten() -> None:
    with pytest.raises(ValueError, match="begin project and stack with a letter"):
        Names("1", "2").logical("x")
