"""Every contract test of the ECS fleet runs against the strict fake and against moto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.fleet.worlds import World, fake_world, moto_account, moto_world


@pytest.fixture(scope="package")
def account() -> Iterator[tuple[Any, tuple[str, str]]]:
    """Moto, once for all tests here."""
    with pytest.MonkeyPatch.context() as patch, moto_account(patch) as account:
        yield account


@pytest.fixture(params=["fake", "moto"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        with fake_world() as world:
            yield world
    else:
        with moto_world(request.getfixturevalue("account")) as world:
            yield world
