"""A stack's life on one machine: it answers, it ends without a trace, and it remembers."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.process import kill
from tests.harness.waiting import eventually
from tests.integration.local.house import LocalStack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    made = LocalStack(tmp_path / "home")
    yield made
    made.clean()


def test_it_answers_ends_at_ctrl_c_and_remembers_until_told_to_forget(stack: LocalStack) -> None:
    client = stack.up()
    answer = client.post("fibonacci", {"n": 100}, wait=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"] == 354224848179261915075
    assert stack.end(signal.SIGINT) == 0
    assert stack.processes() == []
    assert stack.files_outside() == set()
    assert not (stack.data / "tmp").exists()
    assert "was killed" not in stack.output()

    client = stack.up()
    again = client.post("fibonacci", {"n": 100})
    assert again.status_code == 200, "the append-only file was read"
    assert again.json()["finished_at"] == answer.json()["finished_at"]
    assert stack.end(signal.SIGTERM) == 0
    assert stack.processes() == []

    client = stack.up("--fresh")
    assert client.http.get("/api/v1/tasks").json()["tasks"] == []
    assert stack.end() == 0


def test_what_was_queued_when_it_was_killed_is_done_after_the_next_start(stack: LocalStack) -> None:
    client = stack.up()
    ids = client.batch("monte_carlo_pi", [{"samples": 1_000_000, "seed": seed} for seed in range(20)])
    family = stack.processes()
    stack.signal(signal.SIGKILL)
    stack.wait()
    eventually(lambda: not stack.processes(), f"all of {family} are gone", seconds=10)

    client = stack.up()
    client.done(ids, seconds=120)
    assert stack.end() == 0
    assert stack.files_outside() == set()


def test_a_part_that_is_killed_comes_back(stack: LocalStack) -> None:
    client = stack.up()
    for count, part in enumerate(("services.api", "services.worker.scheduler", "services.autoscaler", "valkey-server")):
        pid = stack.part(part)
        kill(pid)
        eventually(lambda: stack.output().count("starting again") > count, f"the loss of {part} is seen")  # noqa: B023
        eventually(lambda: stack.ready(client), f"the API is ready without {part}", seconds=90)
        # Whatever was lost, the task is computed in the end.
        client.done([client.submit("fibonacci", {"n": count})], seconds=90)
    assert stack.end() == 0
    assert stack.processes() == []


def test_a_second_stack_on_the_same_data_is_refused_and_beside_it_runs(stack: LocalStack, tmp_path: Path) -> None:
    client = stack.up()
    second = LocalStack(stack.directory, environment={"API_PORT": "0"})
    second.log = tmp_path / "second.log"
    third = LocalStack(tmp_path / "beside")
    try:
        second.start()
        assert second.wait(30) == 2
        assert f"another stack (process {stack.pid}) runs on {stack.data}: stop it" in second.output()
        beside = third.up()
        for one in (client, beside):
            one.done([one.submit("fibonacci", {"n": 3})])
        assert third.end() == 0
        assert third.processes() == []
        assert stack.running
    finally:
        second.clean()
        third.clean()
    assert stack.end() == 0


def test_a_port_in_use_is_named_with_what_to_set(stack: LocalStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stack.environment["API_PORT"] = str(port)
        stack.start()
        assert stack.wait(30) == 2
    assert f"port {port} on 127.0.0.1 is in use by another program: set API_PORT" in stack.output()
    assert stack.processes() == []


def test_a_setting_that_is_not_usable_is_named(stack: LocalStack) -> None:
    stack.environment["LOCAL_WORKERS_MAX"] = "many"
    stack.start()
    assert stack.wait(30) == 2
    assert "LOCAL_WORKERS_MAX: " in stack.output()
    assert "Traceback" not in stack.output()
