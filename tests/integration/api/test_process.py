"""The API as a process: how it starts, and how it ends with requests under way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.harness.process import free_port
from tests.integration.api.conftest import ROOT, Running


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("API_PORT", "none", "API_PORT: Input should be a valid integer"),
        ("REDIS_URL", "http://x", "REDIS_URL: is not of the form redis://host:port/0"),
        ("REDIS_URL", "redis://:hidden@x", "REDIS_URL: holds a password"),
        ("CORS_ORIGINS", "a.example", "CORS_ORIGINS: 'a.example' never matches"),
        ("DASK_TLS_CA", "ca.pem", "DASK_TLS_CERT, DASK_TLS_KEY: not set"),
        ("COMPUTE_MODULES", "tests.integration.nothing", "tests.integration.nothing"),
        ("OBJECT_STORE", "ftp://x", "OBJECT_STORE"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(name: str, value: str, says: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), name: value}
    done = subprocess.run(
        [sys.executable, "-m", "services.api"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hidden" not in done.stderr


def test_sigterm_answers_whoever_waits_and_ends(running: Running) -> None:
    with httpx.Client(base_url=running.url, timeout=40, trust_env=False) as client:
        task = client.post("/api/v1/computations/negate/tasks", json={"value": True}).json()
        path = f"/api/v1/tasks/{task['task_id']}"
        answers: dict[str, httpx.Response] = {}

        def ask(name: str, end: str) -> None:
            answers[name] = client.get(path + end, headers={"Prefer": "wait=30"})

        waiting = [threading.Thread(target=ask, args=each) for each in (("record", ""), ("events", "/events"))]
        for thread in waiting:
            thread.start()
        time.sleep(0.5)
        begun = time.monotonic()
        assert running.process.terminate() == 0
        assert time.monotonic() - begun < 10
        for thread in waiting:
            thread.join(5)
        assert answers["record"].json()["state"] == "PENDING"
        assert '"state":"PENDING"' in answers["events"].text
    running.process.start()
    end = time.monotonic() + 60
    while True:
        try:
            assert httpx.get(running.url + path, trust_env=False).json()["state"] == "PENDING"
            break
        except httpx.TransportError:
            assert time.monotonic() < end, running.process.tail()
            time.sleep(0.05)


def test_a_port_in_use_is_named(running: Running) -> None:
    port = running.url.rpartition(":")[2]
    environment = {**running.process.environment, "API_PORT": port}
    done = subprocess.run(
        [sys.executable, "-m", "services.api"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert port in done.stderr
    assert free_port() != int(port)
