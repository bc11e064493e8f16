"""Code changes: an edited helper is a new version, and nothing is stored under a version that its worker lacks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.fixtures import module_stack
from tests.harness.stack import ROOT, Stack
from tests.harness.waiting import eventually

stack = module_stack(apis=0, workers=0)

COMPUTATION = '''\
"""An author's computation."""

from authored.helper import scale
from services.compute import computation


@computation
def scaled(n: int) -> int:
    """Scale n."""
    return scale(n)
'''
HELPER = '''\
"""What the computation rests on."""


def scale(n: int) -> int:
    return n * {factor}{comment}
'''


def write_package(folder: Path, factor: int, comment: str = "") -> dict[str, str]:
    """Write (or edit) the author's package; return the environment that serves it."""
    package = folder / "authored"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text('"""An author\'s package."""\n')
    (package / "scaled.py").write_text(COMPUTATION)
    (package / "helper.py").write_text(HELPER.format(factor=factor, comment=comment))
    return {"PYTHONPATH": f"{folder}:{ROOT}", "COMPUTE_MODULES": "authored"}


def version(client: Client) -> str:
    """Return the version of `scaled` that this API serves."""
    answer = client.http.get("/api/v1/computations")
    assert answer.status_code == 200
    (found,) = [entry["version"] for entry in answer.json()["computations"] if entry["name"] == "scaled"]
    return str(found)


@pytest.fixture(autouse=True)
def clean(stack: Stack) -> None:
    """End the APIs and workers of the test before."""
    for process in (*stack.apis, *stack.workers):
        if process.running:
            process.terminate()
    stack.apis.clear()
    stack.workers.clear()


def test_an_edited_helper_changes_version_and_id(stack: Stack, tmp_path: Path) -> None:
    environment = write_package(tmp_path / "code", 2)
    worker, api = stack.add_worker(environment=environment), stack.add_api(environment=environment)
    stack.wait_ready()
    client = stack.client_of(api)
    old_version, old_id = version(client), client.submit("scaled", {"n": 21})
    client.done([old_id])
    assert client.value(old_id) == 42

    for factor, comment in ((2, "  # a comment is no change"), (3, "")):
        write_package(tmp_path / "code", factor, comment)
        for process in (api, worker):
            process.terminate()
            process.start()
        stack.wait_ready()
        new_id = client.submit("scaled", {"n": 21})
        if factor == 2:
            assert (version(client), new_id) == (old_version, old_id)
    assert version(client) != old_version
    assert new_id != old_id
    client.done([new_id])
    assert client.value(new_id) == 63
    assert client.value(old_id) == 42, "the old result stays what it was"


def test_a_rolling_change_of_workers(stack: Stack, tmp_path: Path) -> None:
    old, new = write_package(tmp_path / "old", 10), write_package(tmp_path / "new", 11)
    stack.add_worker(environment=old)
    old_api, new_api = stack.add_api(environment=old), stack.add_api(environment=new)
    stack.wait_ready()
    stack.wait_workers(1)
    old_client, new_client = stack.client_of(old_api), stack.client_of(new_api)

    waiting = new_client.batch("scaled", [{"n": n} for n in range(10)])
    ids = old_client.batch("scaled", [{"n": n} for n in range(10)])
    assert not set(ids) & set(waiting)
    old_client.done(ids)
    assert [old_client.value(task_id) for task_id in ids[:3]] == [0, 10, 20]
    time.sleep(4.0)
    for task in new_client.query(waiting)["tasks"]:
        assert (task["state"], task["attempts"], task["error"]) == ("PENDING", 0, None)

    stack.add_worker(environment=new)
    records = new_client.done(waiting, seconds=40)
    assert {record["attempts"] for record in records} == {1}
    assert {record["version"] for record in records} == {version(new_client)}
    assert [new_client.value(task_id) for task_id in waiting[:3]] == [0, 11, 22]

    more = [client.submit("scaled", {"n": 100}) for client in (old_client, new_client)]
    old_client.done(more)
    assert [old_client.value(task_id) for task_id in more] == [1000, 1100]


def test_a_version_that_nobody_holds_fails_after_a_settable_time(stack: Stack, tmp_path: Path) -> None:
    old, new = write_package(tmp_path / "old", 20), write_package(tmp_path / "new", 21)
    stack.add_worker(environment=old)
    api = stack.add_api(environment={**new, "VERSION_WAIT": "3"})
    stack.wait_ready()
    stack.wait_workers(1)
    client = stack.client_of(api)
    begun = time.monotonic()
    (record,) = client.wait_final([client.submit("scaled", {"n": 1})], seconds=30)
    assert 3 <= time.monotonic() - begun < 12
    assert (record["state"], record["attempts"]) == ("FAILED", 0)
    assert record["error"]["type"] == "version_unavailable"
    assert record["version"] in record["error"]["message"]

    stack.add_worker(environment=new)
    stack.wait_workers(2)
    again = client.submit("scaled", {"n": 1})
    eventually(lambda: client.get(again)["state"] == "DONE", "a POST after that runs where the version is held")
    assert client.value(again) == 21
