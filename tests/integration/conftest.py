"""What all tests over real processes share: a ledger of side effects, and the logs of the processes when one fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.fixtures import ending_on_sigterm
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return an empty ledger; its path is unique, and with it the ids of tasks that take it as a parameter."""
    return Ledger(tmp_path / "ledger")


@pytest.fixture(scope="session", autouse=True)
def _stacks_end_on_sigterm() -> Iterator[None]:
    with ending_on_sigterm():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add the ends of the logs of all living stacks to a failure."""
    report = yield
    if report.failed:
        for stack in Stack.living:
            report.sections.append((f"logs of {stack.directory}", stack.logs()))
    return report
