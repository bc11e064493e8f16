"""A development stack in use: its task definitions run as processes, which are told what ECS would tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra import ports
from tests.harness.client import Client
from tests.harness.fixtures import ending_on_sigterm
from tests.harness.process import MARK
from tests.harness.waiting import eventually
from tests.infra.engine.allowed import listed, needs, statements
from tests.infra.engine.conftest import settings
from tests.infra.engine.fargate import LISTENING, Container, task_id
from tests.infra.engine.harness import Cloud, Stack
from tests.infra.engine.loopback import Rewrite
from tests.infra.engine.wired import SERVICES, Wired, in_use
from tests.infra.program import DEVELOPMENT

LARGE = 60_000
"""Levels in an answer that is too large for the cache."""
LAYERS = "images have no layers here: what their Dockerfiles copy is there already"
SHELL = "ECS Exec, when an operator opens a shell"
UNUSED: Mapping[tuple[str, str], str] = {
    **{
        (f"{service}-execution", f"ecr:{action}"): LAYERS
        for service in ("api", "autoscaler", "scheduler", "worker")
        for action in ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer")
    },
    (
        "api-task",
        "s3:ListBucket",
    ): "by it S3 calls an object missing, not forbidden; none is missing here",
    ("worker-task", "s3:DeleteObject"): "results of attempts that came too late; none does here",
    **{
        ("scheduler-task", f"ssmmessages:{action}Channel"): SHELL
        for action in ("CreateControl", "CreateData", "OpenControl", "OpenData")
    },
}
"""What roles may do and have not done, and why they may."""
BESIDES: Mapping[str, frozenset[str]] = {
    "ECS": frozenset({"AWS_REGION", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "ECS_CONTAINER_METADATA_URI_V4"}),
    "the image": frozenset({"HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED"}),
    "its network, which is loopback here": frozenset({"AWS_ENDPOINT_URL", *LISTENING}),
    "the authorities that it trusts": frozenset({"REDIS_CA_FILE"}),
    "this machine": frozenset(
        {MARK, "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "OMP_NUM_THREADS", "TMPDIR"},
    ),
}
"""Variables that a container has besides those of its task definition, by what they are from."""


@pytest.fixture(scope="module")
def wired(aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    """A development stack in use."""
    directory: Path = tmp_path_factory.mktemp("wired")
    stack = Stack.make(directory / "stack", "dev", aws, settings(DEVELOPMENT))
    with ending_on_sigterm(), in_use(stack, directory) as made:
        yield made


def test_1_every_service_is_healthy_by_its_own_check(wired: Wired) -> None:
    for service in SERVICES:
        assert wired.present(service).process.running


def test_2_a_request_is_computed_by_a_worker_that_the_autoscaler_started(wired: Wired) -> None:
    assert wired.fargate.living("worker") == []
    with wired.client() as client:
        task = client.submit("fibonacci", {"n": 90})
        client.done([task], seconds=60)
        assert client.value(task) == 2880067194370816120
    (worker,) = wired.fargate.living("worker")
    runs = [call for call in wired.gateway.calls if call.action == "ecs:RunTask"]
    started = {task_id(task["taskArn"]): call.key for call in runs for task in call.answer["tasks"]}
    assert set(started) == {worker.id}
    assert part(wired.fargate.roles[started[worker.id]]) == "autoscaler-task"


def test_3_a_large_result_comes_from_the_bucket_by_a_presigned_address(wired: Wired) -> None:
    bucket = wired.stack.outputs()["results_bucket"]
    with wired.client() as client:
        task = client.submit("tides", {"count": LARGE})
        client.done([task], seconds=60)
        told = client.http.get(f"/api/v1/tasks/{task}/result")
        assert told.status_code == 307
        address = urlsplit(told.headers["location"])
        assert address.netloc == urlsplit(wired.gateway.url).netloc
        assert address.path.startswith(f"/{bucket}/results/")
        answer = client.http.get(told.headers["location"])
        assert answer.json() == [1.0 + number for number in range(LARGE)]
    fetched = [call for call in wired.gateway.calls if call.action == "s3:GetObject"][-1]
    assert part(wired.fargate.roles[fetched.key]) == "api-task"


def test_4_changed_code_takes_over_and_what_is_under_way_ends_under_the_old(wired: Wired, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    (old,) = wired.fargate.living("worker")
    with wired.client() as client:
        under_way = client.submit("tides", {"count": 3, "gate": str(gate)})
        eventually(lambda: client.get(under_way)["state"] == "RUNNING", "it is under way")
    code = wired.source.read_text()
    wired.source.write_text(code.replace("LEVEL = 1.0", "LEVEL = 2.0"))
    before = {service: wired.revision(service) for service in (*SERVICES, "worker")}
    wired.up()
    assert {service: wired.revision(service) - 1 for service in before} == before
    with wired.client() as client:
        fresh = client.submit("tides", {"count": 3})
        client.done([fresh], seconds=90)
        assert client.value(fresh) == [2.0, 3.0, 4.0]
        eventually(lambda: retiring(client) == 1, "the old worker takes nothing new", seconds=60, pause=0.5)
        assert client.get(under_way)["state"] == "RUNNING"
        assert old.kill_at is None, "it is stopped when it has ended what it runs"
        gate.touch()
        (record,) = client.done([under_way])
        assert record["attempts"] == 1
        assert client.value(under_way) == [1.0, 2.0, 3.0]
        again = client.submit("tides", {"count": 3, "gate": str(gate)})
        client.done([again])
        assert client.value(again) == [2.0, 3.0, 4.0]
    former = [each for each in wired.fargate.containers.values() if each.revision == before[each.service]]
    assert {each.service for each in former} == before.keys()
    eventually(lambda: all(each.status is not None for each in former), "everything old has ended")
    assert {each.service: each.status for each in former} == dict.fromkeys(before, 0)
    assert all(wired.fargate.living(service) for service in before)


def retiring(client: Client) -> int:
    """Workers that take nothing new, as the autoscaler says."""
    observed = client.http.get("/api/v1/fleet").json()["observed"]
    return int(observed["retiring"])


def test_5_only_addresses_and_directories_are_others_than_in_the_task_definitions(wired: Wired) -> None:
    found: set[Rewrite] = set()
    for container in wired.fargate.containers.values():
        process, definition = container.process, container.definition
        assert process.command[1:] == ["-m", *definition["command"]]
        vault = wired.stack.cloud.client("secretsmanager")
        for secret in definition["secrets"]:
            kept = vault.get_secret_value(SecretId=secret["valueFrom"])["SecretString"]
            assert process.environment[secret["name"]] == kept
        told = {each["name"]: each["value"] for each in definition["environment"]}
        hidden = {each["name"] for each in definition["secrets"]}
        assert not hidden & told.keys()
        assert process.environment.keys() - told.keys() - hidden == frozenset().union(*BESIDES.values())
        pairs = {name: (value, process.environment[name]) for name, value in told.items()}
        others = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        assert others == expected(wired, container)
        found |= {Rewrite(container.family, name, *values) for name, values in others.items()}
    assert set(wired.fargate.rewrites) == found
    print(*sorted(found), sep="\n")


def expected(wired: Wired, container: Container) -> dict[str, tuple[str, str]]:
    """What is another variable here: what it is in the stack, and here."""
    scheduler = f"tcp://127.0.0.1:{wired.fargate.scheduler_port}"
    by_name = (f"tcp://scheduler.tidegate-dev.internal:{ports.SCHEDULER}", scheduler)
    cache = {"REDIS_URL": (wired.cache_url, f"rediss://127.0.0.1:{wired.cache_port}/0")}
    here = container.process.environment
    match container.service:
        case "api":
            own = {"API_HOST": ("0.0.0.0", "127.0.0.1"), "API_PORT": (str(ports.API), here["API_PORT"])}
            return {**cache, "SCHEDULER_ADDRESS": by_name, **own}
        case "autoscaler":
            told = {each["name"]: each["value"] for each in container.definition["environment"]}
            address = (told["SCHEDULER_ADDRESS"], scheduler)
            assert address[0] in wired.scheduler_addresses
            own = {"AUTOSCALER_PORT": (str(ports.AUTOSCALER), here["AUTOSCALER_PORT"])}
            return {**cache, "SCHEDULER_ADDRESS": address, "SCHEDULER_FALLBACK": by_name, **own}
        case "worker":
            directory = ("/var/lib/tidegate", str(container.process.directory / "state"))
            return {**cache, "SCHEDULER_ADDRESS": by_name, "WORKER_DIRECTORY": directory}
        case _:
            return {"SCHEDULER_PORT": (str(ports.SCHEDULER), str(wired.fargate.scheduler_port))}


def test_6_every_call_is_allowed_and_what_is_allowed_is_used_or_has_its_reason(wired: Wired) -> None:
    aws = wired.stack.cloud
    roles = {each["RoleName"] for each in aws.client("iam").list_roles()["Roles"]}
    documents = {role: statements(aws, role) for role in roles}
    used: set[tuple[str, str]] = set()
    for call in wired.gateway.calls:
        role = wired.fargate.roles[call.key]
        assert call.status < 300, f"{role} has not got what it asked for: {call}"
        for need in needs(call, aws):
            assert any(need.allowed_by(each) for each in documents[role]), f"{role} may not: {need}"
            used.add((part(role), need.action))
    allowed = {
        (part(role), action)
        for role, its in documents.items()
        for statement in its
        for action in listed(statement["Action"])
    }
    assert used <= allowed
    assert allowed - used == set(UNUSED)


def part(role: str) -> str:
    """Whose role it is: without the stack and Pulumi's suffix."""
    return role.removeprefix("tidegate-dev-").rpartition("-")[0]
