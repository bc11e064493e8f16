"""The Fargate task definitions of the Pulumi program run these images as they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import ROOT, Compose, Images, docker
from tests.e2e.task_definitions import OPEN_FILES_MAX, host, service, without_tls
from tests.harness.client import Client
from tests.harness.process import free_port
from tests.infra.program import DEVELOPMENT, container, run, task_definition, variables

IMAGE = {"api": "api", "scheduler": "worker", "worker": "worker", "autoscaler": "autoscaler"}
SECRETS = {"REDIS_PASSWORD": "a-token", "API_ADMIN_KEY": "an-admin-key"}

FAKE_ECS = """
import signal, time
from tests.fakes.ecs import Definition, FakeEcs
from tests.fakes.ecs_server import EcsServer
fake = FakeEcs(time.time, definitions=[Definition("tidegate-dev-worker", 1)], cluster="tidegate-dev")
server = EcsServer(fake, address=("0.0.0.0", 80))
signal.sigwait({signal.SIGTERM})
"""
"""Strict about what the autoscaler asks; nothing is started for it."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The program's task definitions as a compose project; with an ECS that answers, and Redis."""
    graph = run(DEVELOPMENT)
    services = {}
    for name, image in IMAGE.items():
        inputs = task_definition(graph, name).inputs
        services[name] = service(container(graph, name), inputs["cpu"], inputs["memory"], image, SECRETS)
    told = variables(graph, "api")
    assert without_tls(services) == 3, "API, workers and autoscaler have Redis; the scheduler has not"
    services["scheduler"]["networks"] = {"default": {"aliases": [host(told["SCHEDULER_ADDRESS"])]}}
    services["redis"] = {
        "image": "redis:7-bookworm",
        "command": ["redis-server", "--requirepass", SECRETS["REDIS_PASSWORD"], "--protected-mode", "no"],
        "networks": {"default": {"aliases": [host(told["REDIS_URL"])]}},
    }
    services["ecs"] = {
        "image": "worker",
        "entrypoint": ["python", "-c", FAKE_ECS],
        "environment": {"PYTHONPATH": "/app:/repository"},
        "user": "0",
        "healthcheck": {"disable": True},
        "volumes": [{"type": "bind", "source": str(ROOT / "tests"), "target": "/repository/tests", "read_only": True}],
    }
    # Fargate gives credentials by itself.
    services["autoscaler"]["environment"] |= {
        "AWS_ENDPOINT_URL": "http://ecs",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    return {"services": services}


@pytest.fixture(scope="module")
def fargate(images: Images, project: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project, up and healthy."""
    for made in project["services"].values():
        made["image"] = images.name(made["image"]) if made["image"] in IMAGE else made["image"]
    port = free_port()
    project["services"]["api"]["ports"] = [f"127.0.0.1:{port}:8000"]
    directory: Path = tmp_path_factory.mktemp("fargate")
    (directory / "docker-compose.yml").write_text(json.dumps(project))  # JSON is YAML
    compose = Compose(directory, {"API_PORT": str(port)})
    try:
        compose("up", "-d")
        compose("up", "-d", "--wait", "--wait-timeout", "180", "api", "scheduler", "autoscaler")  # what has a check
        yield compose
    finally:
        compose("down", "-v", "--timeout", "5")
    assert compose.leavings() == []


def test_all_are_healthy_and_compute(fargate: Compose) -> None:
    client = Client(f"http://127.0.0.1:{fargate.environment['API_PORT']}")
    try:
        for name, parameters in {
            "fibonacci": {"n": 1000},
            "monte_carlo_pi": {"samples": 2_000_000},
            "svd": {"rows": 200, "columns": 10},
        }.items():
            answer = client.post(name, parameters, wait=30)
            assert answer.status_code == 200, answer.text
            assert answer.json()["state"] == "DONE"
        fleet = client.http.get("/api/v1/fleet").json()
        # The address that the stack's last `up` found is of a scheduler that is gone: it goes by the name.
        assert fleet["observed"]["scheduler"].startswith("tcp://scheduler.")
        assert fleet["observed"]["dask_workers"] == 1
    finally:
        client.close()


@pytest.mark.parametrize("name", list(IMAGE))
def test_the_engine_runs_them_as_they_say(fargate: Compose, project: dict[str, Any], name: str) -> None:
    (found,) = fargate.containers(name)
    wanted = project["services"][name]
    config, limits = found["Config"], found["HostConfig"]
    assert config["Cmd"] == wanted["command"]
    assert config["User"] == wanted["user"] == "10001:10001"
    assert limits["ReadonlyRootfs"] is True
    assert limits["CapDrop"] == ["ALL"]
    assert limits["Memory"] == int(wanted["mem_limit"].rstrip("m")) * 2**20
    assert limits["NanoCpus"] == wanted["cpus"] * 1e9
    assert {mount["Destination"] for mount in found["Mounts"]} >= {each["target"] for each in wanted["volumes"]}
    assert [limit["Soft"] for limit in limits["Ulimits"]] == [OPEN_FILES_MAX]
    for mount in wanted["volumes"]:
        docker("exec", found["Id"], "sh", "-c", f"touch {mount['target']}/x")
    for refused in ("touch /app/x", "touch /x"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            docker("exec", found["Id"], "sh", "-c", refused)
    if "disable" not in wanted["healthcheck"]:
        assert config["Healthcheck"]["Test"] == wanted["healthcheck"]["test"]
        assert found["State"]["Health"]["Status"] == "healthy"


def test_the_scheduler_serves_dasks_dashboard(fargate: Compose) -> None:
    (scheduler,) = fargate.containers("scheduler")
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8787{}').read().decode())"
    assert "bokeh" in docker("exec", scheduler["Id"], "python", "-c", code.format("/status")).lower()
    assert docker("exec", scheduler["Id"], "python", "-c", code.format("/static/js/bokeh.min.js"))


def test_what_is_not_carried_over_is_refused() -> None:
    graph = run(DEVELOPMENT)
    with pytest.raises(ValueError, match=r"\['privileged'\]"):
        service({**container(graph, "worker"), "privileged": True}, "256", "512", "worker", SECRETS)


@pytest.mark.parametrize("name", ["worker", "api", "autoscaler", "scheduler"])
def test_sigterm_ends_them_in_order(fargate: Compose, name: str) -> None:
    (found,) = fargate.containers(name)
    subprocess.run(["docker", "stop", found["Id"]], check=True, capture_output=True, timeout=180)
    (ended,) = fargate.containers(name)
    assert ended["State"]["ExitCode"] == 0
