"""The real engine, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.harness.absent import absent
from tests.infra.engine import kind
from tests.infra.engine.harness import Cloud, Stack, cloud
from tests.infra.engine.wired import Wired
from tests.infra.program import DEVELOPMENT


@pytest.fixture(scope="session")
def pulumi() -> str:
    """Pulumi's CLI, or a skip that says where it comes from; without it continuous integration fails."""
    found = shutil.which("pulumi")
    if found is None:
        absent("no pulumi on PATH: https://www.pulumi.com/docs/iac/download-install/")
    return found


@pytest.fixture(scope="module")
def aws(pulumi: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A moto server of this module's own."""
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


def settings(values: Mapping[str, str]) -> dict[str, str]:
    """Configuration of a stack."""
    return {f"tidegate:{key}": value for key, value in values.items()}


@pytest.fixture
def at_moto(aws: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """This process's own kinds talk to the module's moto."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    kind.aws.cache_clear()
    yield aws
    kind.aws.cache_clear()


@pytest.fixture(scope="module")
def development(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A development stack, up."""
    directory: Path = tmp_path_factory.mktemp("development")
    stack = Stack.make(directory / "stack", "dev", aws, settings(DEVELOPMENT))
    stack.up()
    return stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add the ends of the logs of stacks in use to a failure."""
    report = yield
    if report.failed:
        for wired in Wired.living:
            report.sections.append((f"logs of {wired.directory}", wired.logs()))
    return report
