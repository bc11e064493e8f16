"""The API as a process: how it starts, and how it ends with requests under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import httpx
import pytest
from fastapi import FastAPI

from services.api.__main__ import configuration
from services.api.headers import WAIT_MAX
from services.api.routers.events import COMMENT_SECONDS
from services.api.settings import ApiSettings
from tests.harness.process import Managed, free_port
from tests.integration.api.conftest import ROOT, Running, wait_ready


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


def test_a_load_balancer_between_meets_no_closed_connection(running: Running) -> None:
    idle = 65  # of the load balancer
    assert ApiSettings.model_fields["api_keep_alive"].default > idle > WAIT_MAX > COMMENT_SECONDS
    settings = ApiSettings(api_keep_alive=7, shutdown_seconds=3.2)
    config = configuration(settings, FastAPI())
    assert (config.timeout_keep_alive, config.timeout_graceful_shutdown) == (7, 4)
    environment = {**running.process.environment, "API_PORT": str(free_port()), "API_KEEP_ALIVE": "1"}
    with another(running, environment) as (process, url), closing(connection(url)) as plain:
        plain.request("GET", "/livez")
        answer = plain.getresponse()
        assert answer.read()
        assert answer.headers.get("connection") != "close"
        plain.sock.settimeout(10)
        begun = time.monotonic()
        assert plain.sock.recv(1) == b"", "an idle connection is closed"
        assert 0.8 < time.monotonic() - begun < 5
        assert process.running


def test_after_sigterm_it_serves_on_until_the_load_balancer_knows(running: Running) -> None:
    environment = {**running.process.environment, "API_PORT": str(free_port()), "SHUTDOWN_DELAY": "2"}
    with another(running, environment) as (process, url), httpx.Client(base_url=url, trust_env=False) as client:
        begun = time.monotonic()
        process.signal(signal.SIGTERM)
        while client.get("/readyz").status_code == 200:
            assert time.monotonic() - begun < 1
        problem = client.get("/readyz").json()
        assert problem["type"] == "urn:tidegate:leaving"
        assert client.get("/livez").status_code == 200, "a health check would replace a task that ends anyway"
        assert httpx.post(  # on a connection of its own, too
            f"{url}/api/v1/computations/negate/tasks", json={"value": True}, trust_env=False
        ).is_success
        assert process.wait(20) == 0
        assert 2 <= time.monotonic() - begun < 8


def test_a_second_signal_ends_the_delay(running: Running) -> None:
    environment = {**running.process.environment, "API_PORT": str(free_port()), "SHUTDOWN_DELAY": "60"}
    with another(running, environment) as (process, url):
        process.signal(signal.SIGTERM)
        end = time.monotonic() + 10
        while httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
            assert time.monotonic() < end
        assert process.terminate(20) == 0


@contextmanager
def another(running: Running, environment: dict[str, str]) -> Iterator[tuple[Managed, str]]:
    """One more process beside the module's, ready."""
    process = Managed(f"api-{environment['API_PORT']}", running.process.command, environment, running.process.directory)
    process.start()
    made = Running(process, f"http://127.0.0.1:{environment['API_PORT']}", running.redis_url)
    try:
        wait_ready(made)
        yield process, made.url
    finally:
        process.kill()


def connection(url: str) -> HTTPConnection:
    return HTTPConnection(url.removeprefix("http://"), timeout=10)
