"""How AWS is reached, with real boto3: against the fake over HTTP, and against moto for roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.dynamic.aws import REAL, World
from infra.dynamic.refusals import AwsRefused, AwsUnavailable
from infra.dynamic.scheduler_address import SchedulerAddressProvider
from infra.dynamic.session import Access, account_of, open_client
from tests.fakes.ecs import FakeEcs
from tests.fakes.ecs_server import EcsServer
from tests.infra.dynamic.world import CLUSTER, FakeClock, inputs, scheduler

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No region, no profile, no files and no metadata service."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", *CREDENTIALS):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[EcsServer]:
    fake = FakeEcs(clock.now, latency=lambda _: 40.0)
    fake.services.create("scheduler", scheduler())
    with EcsServer(fake) as server:
        yield server


@pytest.fixture
def provider(clock: FakeClock) -> SchedulerAddressProvider:
    return SchedulerAddressProvider(World(open_client, clock, account_of))


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Service, region and key of every request that is signed."""
    from botocore.auth import SigV4Auth

    seen: list[tuple[str, str, str]] = []
    add_auth = SigV4Auth.add_auth

    def spy(self: Any, request: Any) -> Any:
        seen.append((self._service_name, self._region_name, self.credentials.access_key))
        return add_auth(self, request)

    monkeypatch.setattr(SigV4Auth, "add_auth", spy)
    return seen


@pytest.mark.usefixtures("credentials")
def test_the_region_is_an_input_and_the_endpoint_the_environment_s(
    server: EcsServer,
    provider: SchedulerAddressProvider,
    signed: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    outs = provider.create(inputs(scheduler())).outs
    (task,) = server.fake.running()
    assert outs is not None
    assert (outs["ip"], outs["task_arn"]) == (task.ip, task.arn)
    assert set(signed) == {("ecs", "eu-central-1", "testing")}


@pytest.mark.usefixtures("credentials")
def test_the_endpoint_may_be_an_input(
    server: EcsServer, provider: SchedulerAddressProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    outs = provider.create(inputs(scheduler(), endpoint_url=server.url)).outs
    assert outs is not None
    assert outs["address"].startswith("tcp://10.")


def test_credentials_come_from_the_profile(
    server: EcsServer,
    provider: SchedulerAddressProvider,
    signed: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[ops]\naws_access_key_id = of-ops\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    provider.create(inputs(scheduler(), endpoint_url=server.url, profile="ops"))
    assert {key for _, _, key in signed} == {"of-ops"}
    with pytest.raises(AwsRefused, match=r"eu-central-1: ProfileNotFound: .*\(nobody\)"):
        provider.create(inputs(scheduler(), endpoint_url=server.url, profile="nobody"))


def test_without_credentials(server: EcsServer, provider: SchedulerAddressProvider, clock: FakeClock) -> None:
    with pytest.raises(AwsRefused, match=r"NoCredentialsError.*Log in to AWS again"):
        provider.create(inputs(scheduler(), endpoint_url=server.url))
    assert clock.sleeps == []


@pytest.mark.usefixtures("credentials")
def test_a_role_is_assumed(signed: list[tuple[str, str, str]]) -> None:
    from moto import mock_aws

    role = "arn:aws:iam::123456789012:role/deployer"
    with mock_aws():
        client = open_client(Access("eu-central-1", role_arn=role))
        client.list_clusters()
        client.close()
    (sts, ecs) = signed
    assert sts == ("sts", "eu-central-1", "FOOBARKEY")  # what moto puts in place of the environment's
    assert ecs[:2] == ("ecs", "eu-central-1")
    assert ecs[2].startswith("ASIA")


@pytest.mark.usefixtures("credentials")
def test_a_role_that_must_not_be_assumed() -> None:
    import boto3
    from botocore.exceptions import ClientError
    from botocore.stub import Stubber

    sts = boto3.client("sts", region_name="eu-central-1")
    with Stubber(sts) as stubber, pytest.MonkeyPatch.context() as patch:
        stubber.add_client_error("assume_role", "AccessDenied", "User: x is not authorized")
        patch.setattr(boto3.Session, "client", lambda *_, **__: sts)
        with pytest.raises(AwsRefused, match=r"cannot assume the role arn:.*must be allowed sts:AssumeRole") as caught:
            open_client(Access("eu-central-1", role_arn="arn:aws:iam::123456789012:role/deployer"))
    assert not isinstance(caught.value.__cause__, ClientError)


@pytest.mark.usefixtures("credentials")
def test_a_role_is_asked_for_as_its_trust_wants_and_its_account_is_the_one_that_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.client import BaseClient
    from moto import mock_aws

    asked: list[dict[str, Any]] = []
    call = BaseClient._make_api_call

    def spy(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        asked.append({"operation": operation, **parameters})
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", spy)
    role = "arn:aws:iam::210987654321:role/deployer"
    with mock_aws():
        assert account_of(Access("eu-central-1")) == "123456789012"
        access = Access("eu-central-1", role_arn=role, session_name="ci", external_id="stack-7")
        assert account_of(access) == "210987654321"
    (assumed,) = (each for each in asked if each["operation"] == "AssumeRole")
    assert (assumed["RoleArn"], assumed["RoleSessionName"], assumed["ExternalId"]) == (role, "ci", "stack-7")


def test_nobody_says_whose_account_it_is(server: EcsServer) -> None:
    with pytest.raises(AwsRefused, match=r"cannot tell whose account .*NoCredentialsError.*Log in to AWS again"):
        account_of(Access("eu-central-1", endpoint_url=server.url))


@pytest.mark.usefixtures("credentials")
def test_answers_that_are_lost_and_errors_of_the_server_are_tried_again(
    server: EcsServer, provider: SchedulerAddressProvider, clock: FakeClock
) -> None:
    clock.sleep(60)
    clock.sleeps.clear()
    server.fake.lose_answer("DescribeServices")
    server.fake.fail_next("ListTasks", "ServerException", "we are sorry")
    server.fake.fail_next("DescribeTasks", "ServiceException", "a status of 500, whatever the code")
    provider.create(inputs(scheduler(), endpoint_url=server.url))
    assert clock.sleeps == [0.375] * 3


@pytest.mark.usefixtures("credentials")
def test_nobody_answers(provider: SchedulerAddressProvider, clock: FakeClock) -> None:
    with pytest.raises(
        AwsUnavailable, match=r"ecs:DescribeServices failed \d+ times, last with EndpointConnectionError"
    ):
        provider.create(inputs(scheduler(), endpoint_url="http://127.0.0.1:1", timeout=60.0))
    assert clock.passed <= 60


def test_a_wait_between_tries_does_not_pass_the_deadline() -> None:
    clock = FakeClock()
    fake = FakeEcs(clock.now)
    fake.fail_next("ListTasks", "ThrottlingException", "Rate exceeded", times=100)
    with (
        World(lambda _: fake, clock, account_of).ecs({"region": "x"}, clock.now() + 5) as ecs,
        pytest.raises(AwsUnavailable),
    ):
        ecs.tasks_of(CLUSTER)
    assert 2 < clock.passed <= 5


def test_the_real_clock_draws_and_pauses() -> None:
    clock = REAL.clock
    assert 0 <= clock.chance() <= 1
    before = clock.now()
    clock.pause(60, before - 1)
    assert clock.now() - before < 1


def test_a_pause_has_jitter_and_an_end() -> None:
    clock = FakeClock()
    clock.pause(10, clock.now() + 100)
    clock.pause(10, clock.now() + 3)
    clock.pause(10, clock.now() - 3)
    assert clock.sleeps == [10, 3, 0]
