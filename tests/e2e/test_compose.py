"""The stack of `docker-compose.yml` answers, scales, and loses nothing when containers die, stop or are replaced."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.e2e.engine import Compose, Images, docker, write_author
from tests.harness.client import Client
from tests.harness.waiting import eventually

EXAMPLES: dict[str, dict[str, Any]] = {
    "fibonacci": {"n": 10_000},
    "monte_carlo_pi": {"samples": 3_000_000, "seed": 7},
    "svd": {"rows": 300, "columns": 12},
    "time_series": {"days": 3},
    "noted": {"n": 21},
}


def ledger(stack: Compose, word: str) -> Counter[int]:
    """How often each `noted` task has this word, over all workers."""
    name = stack.containers("api")[0]["Name"].lstrip("/")
    lines = stack.execute(name, "python", "-c", "print(open('/files/ledger').read())").splitlines()
    return Counter(int(line.split()[1]) for line in lines if line.startswith(f"{word} "))


def names(stack: Compose, service: str) -> list[str]:
    return [str(container["Name"]).lstrip("/") for container in stack.containers(service)]


def workers(client: Client) -> int:
    """How many Dask workers the autoscaler sees."""
    with suppress(httpx.HTTPError):
        answer = client.http.get("/api/v1/fleet")
        if answer.status_code == 200:
            return int(answer.json()["observed"]["dask_workers"])
    return -1


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_computation_answers(client: Client, name: str) -> None:
    task_id = client.submit(name, EXAMPLES[name])
    client.done([task_id], seconds=120)
    value = client.value(task_id)
    if name == "noted":
        assert value == 42
    if name == "monte_carlo_pi":
        assert abs(value["estimate"] - 3.14159) < 0.01


def test_a_large_result_comes_from_the_files_that_workers_and_api_share(client: Client, stack: Compose) -> None:
    task_id = client.submit("bulky", {"size": 3_000_000})
    client.done([task_id], seconds=120)
    assert client.value(task_id) == "x" * 3_000_000
    (api,) = names(stack, "api")
    assert stack.execute(api, "ls", "-R", "/files/results").strip()


def test_containers_run_without_rights(stack: Compose) -> None:
    containers = stack.containers()
    assert len(containers) == 6
    for container in containers:
        host, config = container["HostConfig"], container["Config"]
        assert config["User"] == "10001:10001"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert host["Memory"] > 0
        assert container["State"]["Health"]["Status"] == "healthy"
        status = docker("exec", container["Id"], "cat", "/proc/self/status")
        assert [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")] == ["0" * 16]
        published = [binding for bindings in host["PortBindings"].values() for binding in bindings]
        is_api = container["Config"]["Labels"]["com.docker.compose.service"] == "api"
        assert [each["HostIp"] for each in published] == (["127.0.0.1"] if is_api else [])


def test_redis_is_set_up_to_keep_what_was_accepted(stack: Compose) -> None:
    (redis,) = stack.containers("redis")
    told = stack.execute(redis["Id"], "redis-cli", "--json", "CONFIG", "GET", "maxmemory*", "append*")
    found = json.loads(told)
    assert found["appendonly"] == "yes"
    assert found["maxmemory-policy"] == "volatile-lru"
    assert 0 < int(found["maxmemory"]) < redis["HostConfig"]["Memory"]


def test_workers_are_scaled(client: Client, stack: Compose) -> None:
    eventually(lambda: workers(client) == 2, "there are two to begin with", seconds=60)
    stack("up", "-d", "--no-recreate", "--wait", "--scale", "worker=3")
    eventually(lambda: workers(client) == 3, "the autoscaler sees three", seconds=60)
    fleet = client.http.get("/api/v1/fleet").json()
    assert fleet["observe_only"] is True


def test_a_worker_and_the_scheduler_die_in_the_middle_of_work(client: Client, stack: Compose) -> None:
    ids = client.batch("noted", [{"n": 1000 + n, "seconds": 0.5} for n in range(60)])
    eventually(lambda: sum(ledger(stack, "end")[1000 + n] for n in range(60)) >= 6, "some are done", seconds=60)
    stack.kill(names(stack, "worker")[0])
    stack.kill(names(stack, "scheduler")[0])
    client.done(ids, seconds=180)
    eventually(lambda: workers(client) == 3, "all workers are back", seconds=120)


def test_redis_stops_and_starts_again(client: Client, stack: Compose) -> None:
    ids = client.batch("noted", [{"n": 2000 + n, "seconds": 0.3} for n in range(40)])
    stack("stop", "redis")
    try:
        refused = client.post("noted", {"n": 2999})
        assert refused.status_code == 503
        assert "Retry-After" in refused.headers
    finally:
        stack("start", "redis")
    client.done(ids, seconds=180)
    assert [client.value(task_id) for task_id in ids[:3]] == [4000, 4002, 4004]


def test_a_busy_worker_that_is_stopped_ends_what_it_runs(client: Client, stack: Compose) -> None:
    ids = client.batch("noted", [{"n": 3000 + n, "seconds": 3.0} for n in range(12)])
    eventually(lambda: sum(ledger(stack, "begin")[3000 + n] for n in range(12)) >= 6, "all are busy", seconds=60)
    stopped = names(stack, "worker")[-1]
    docker("stop", stopped)
    (state,) = json.loads(docker("inspect", "-f", "{{json .State}}", stopped).join("[]"))
    assert state["ExitCode"] == 0, "it left by itself, and was not killed"
    records = client.done(ids, seconds=120)
    assert {record["attempts"] for record in records} == {1}
    runs = ledger(stack, "begin")
    assert [runs[3000 + n] for n in range(12)] == [1] * 12
    docker("start", stopped)


def test_changed_code_is_rolled_out_under_load(client: Client, stack: Compose, images: Images) -> None:
    old_ids = client.batch("noted", [{"n": 4000 + n, "seconds": 0.5} for n in range(60)])
    write_author(images.context, 2, 3)
    old_workers = names(stack, "worker")
    stack.environment.update(images.environment(2))
    images.build(2)
    # New workers beside the old ones, then the API, whose new tasks are theirs; the old go when their tasks are done.
    stack("up", "-d", "--no-deps", "--no-recreate", "--wait", "--scale", f"worker={len(old_workers) + 2}", "worker")
    more_ids = client.batch("noted", [{"n": 5000 + n, "seconds": 0.2} for n in range(20)])
    stack("up", "-d", "--no-deps", "--wait", "api")
    new_ids = client.batch("noted", [{"n": 4000 + n, "seconds": 0.5} for n in range(10)])
    assert set(new_ids).isdisjoint(old_ids), "the same parameters, other code: other tasks"
    client.done([*old_ids, *more_ids], seconds=180)
    for name in old_workers:
        docker("stop", name)
    docker("rm", *old_workers)
    records = client.done(new_ids, seconds=120)
    assert [client.value(task_id) for task_id in new_ids] == [3 * (4000 + n) for n in range(10)]
    assert {record["attempts"] for record in records} == {1}
    assert [client.value(task_id) for task_id in old_ids[:3]] == [8000, 8002, 8004]
    assert ledger(stack, "begin")[4020] == 1


def test_down_leaves_the_named_volumes_alone_and_nothing_else(stack: Compose) -> None:
    stack("down", "--timeout", "5")
    assert sorted(stack.leavings()) == [f"{stack.project}_files", f"{stack.project}_redis"]
