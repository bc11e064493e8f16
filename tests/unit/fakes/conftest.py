"""A fake ECS on a clock that stands still."""

from __future__ import annotations

import pytest

from tests.fakes.ecs import FakeEcs
from tests.unit.fakes.asking import Clock, make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ecs(clock: Clock) -> FakeEcs:
    return make(clock)
