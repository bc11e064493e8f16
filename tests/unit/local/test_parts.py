from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.local.directory import DataDirectory
from services.local.errors import LocalError, PortInUse
from services.local.network import LOOPBACK, free_port
from services.local.parts import Plan, foreign_server_answers, plan, valkey_binary
from services.local.settings import LocalSettings

ENVIRONMENT = {
    "PATH": "/bin",
    "QUEUE_MAX": "5",
    "REDIS_PASSWORD": "of another server",
    "SCHEDULER_FALLBACK": "tcp://elsewhere:8786",
    "DASK_TLS_CA": "ca.pem",
}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDirectory]:
    held = DataDirectory(tmp_path)
    yield held
    held.close()


def settings(**changes: object) -> LocalSettings:
    return LocalSettings.model_validate({"api_port": 0, **changes})


def environments(made: Plan) -> dict[str, dict[str, str]]:
    return {part.name: dict(part.environment) for part in made.parts}


def test_all_parts_speak_to_the_same_servers(directory: DataDirectory) -> None:
    made = plan(settings(), directory, ENVIRONMENT)
    for environment in environments(made).values():
        assert environment["REDIS_URL"] == made.redis
        assert environment["SCHEDULER_ADDRESS"] == made.scheduler
        assert environment["OBJECT_STORE"] == f"file://{directory.objects}"
        assert environment["TMPDIR"] == environment["DASK_TEMPORARY_DIRECTORY"] == str(directory.tmp)
        assert environment["QUEUE_MAX"] == "5"


def test_what_points_elsewhere_does_not_reach_the_parts(directory: DataDirectory) -> None:
    for environment in environments(plan(settings(), directory, ENVIRONMENT)).values():
        assert not {"REDIS_PASSWORD", "SCHEDULER_FALLBACK", "DASK_TLS_CA"} & environment.keys()


def test_another_server_is_used_with_its_password(directory: DataDirectory) -> None:
    made = plan(settings(redis_url="redis://cache:6379/0"), directory, ENVIRONMENT)
    assert made.server is None
    for environment in environments(made).values():
        assert environment["REDIS_URL"] == "redis://cache:6379/0"
        assert environment["REDIS_PASSWORD"] == "of another server"


def test_the_embedded_server_keeps_all_writes_and_evicts_results_only(directory: DataDirectory) -> None:
    server = plan(settings(), directory, ENVIRONMENT).server
    assert server is not None
    options = dict(zip(server.command[1::2], server.command[2::2], strict=True))
    assert options["--bind"] == LOOPBACK
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "volatile-lru"
    assert options["--dir"] == str(directory.valkey)


def test_parts_end_from_the_front(directory: DataDirectory) -> None:
    assert [part.name for part in plan(settings(), directory, ENVIRONMENT).parts] == ["api", "autoscaler", "scheduler"]


def test_workers_are_as_set_and_children_of_the_autoscaler(directory: DataDirectory) -> None:
    chosen = settings(local_workers_min=0, local_workers_max=3, worker_threads=2, worker_grace=7)
    made = plan(chosen, directory, ENVIRONMENT)
    fleet = environments(made)["autoscaler"]
    assert (fleet["FLEET"], fleet["WORKERS_MIN"], fleet["WORKERS_MAX"]) == ("local", "0", "3")
    assert (fleet["WORKER_PROCESSES"], fleet["WORKER_THREADS"], fleet["WORKER_GRACE"]) == ("1", "2", "7")
    assert fleet["LOCAL_FLEET_LOG"] == str(directory.logs / "worker.log")
    assert next(part for part in made.parts if part.name == "autoscaler").stop_timeout > 7


def test_the_pace_of_the_fleet_can_be_set(directory: DataDirectory) -> None:
    made = plan(settings(), directory, {**ENVIRONMENT, "TARGET_DURATION": "9"})
    fleet = environments(made)["autoscaler"]
    assert (fleet["TARGET_DURATION"], fleet["AUTOSCALER_INTERVAL"]) == ("9", "0.5")


def test_workers_are_one_to_begin_with_and_as_many_as_cpus_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpus, most in ((None, 2), (1, 2), (12, 12)):
        monkeypatch.setattr("os.cpu_count", lambda cpus=cpus: cpus)
        assert (settings().local_workers_min, settings().local_workers_max) == (1, most)
    with pytest.raises(ValidationError, match="LOCAL_WORKERS_MIN is above LOCAL_WORKERS_MAX"):
        settings(local_workers_min=3, local_workers_max=2)


def test_only_what_is_asked_for_listens_beyond_this_machine(directory: DataDirectory) -> None:
    made = environments(plan(settings(api_host="0.0.0.0"), directory, ENVIRONMENT))
    assert made["scheduler"]["SCHEDULER_HOST"] == made["autoscaler"]["WORKER_HOST"] == LOOPBACK
    assert made["api"]["API_HOST"] == "0.0.0.0"


def test_a_port_in_use_stops_the_plan(directory: DataDirectory) -> None:
    with socket.create_server((LOOPBACK, 0)) as server, pytest.raises(PortInUse):
        plan(settings(api_port=server.getsockname()[1]), directory, ENVIRONMENT)


def test_no_embedded_server_names_both_cures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert valkey_binary().name == "valkey-server"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalError, match=r"extra `local`.*REDIS_URL"):
        valkey_binary()


async def test_another_server_that_is_not_there_is_named() -> None:
    port = free_port()
    with pytest.raises(LocalError, match=rf"nothing answers at 127.0.0.1:{port}"):
        await foreign_server_answers(f"redis://127.0.0.1:{port}/0")
    with socket.create_server((LOOPBACK, 0)) as server:
        await foreign_server_answers(f"redis://127.0.0.1:{server.getsockname()[1]}/0")
