"""What a container's health check says of services that live, hang, answer badly or are not there."""

from __future__ import annotations

import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services import probe
from services.api.settings import ApiSettings
from services.autoscaler.settings import AutoscalerSettings
from services.worker.joined import Joined
from services.worker.settings import SchedulerProcessSettings
from tests.harness.process import free_port


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server whose every connection is given to `answer`; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    answer(link)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def http(status: str) -> Callable[[socket.socket], None]:
    def answer(link: socket.socket) -> None:
        request = link.recv(4096)
        found = status if request.startswith(b"GET /livez ") else "404 Not Found"
        link.sendall(f"HTTP/1.1 {found}\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    return answer


def greeting(length: int, sent: int) -> Callable[[socket.socket], None]:
    def answer(link: socket.socket) -> None:
        link.sendall(struct.pack("<Q", length) + bytes(sent))

    return answer


def silent(link: socket.socket) -> None:
    link.settimeout(5)
    while link.recv(4096):
        pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LIMIT_S", 0.3)


@pytest.mark.parametrize("service", ["api", "autoscaler"])
def test_http_services(service: str, impatient: None) -> None:
    variable, _ = probe.PORTS[service]
    for answer, status in ((http("200 OK"), 0), (http("503 Service Unavailable"), 1), (silent, 1), (greeting(9, 9), 1)):
        with answering(answer) as port:
            assert probe.main([service], {variable: str(port)}) == status


def test_a_scheduler(impatient: None) -> None:
    cases = (
        (greeting(40, 40), 0),
        (greeting(40, 12), 1),  # hung up in the middle
        (greeting(0, 0), 1),
        (http("200 OK"), 1),
        (silent, 1),
        (lambda link: link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 1),
    )
    for answer, status in cases:
        with answering(answer) as port:
            assert probe.main(["scheduler"], {"SCHEDULER_PORT": str(port)}) == status


@pytest.mark.parametrize("service", list(probe.PORTS))
def test_nobody_there(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    variable, _ = probe.PORTS[service]
    assert probe.main([service], {variable: str(free_port())}) == 1
    assert f"{service} is not alive" in capsys.readouterr().err
    assert probe.main([service], {variable: "no port"}) == 1


def test_a_worker_that_has_joined_and_one_that_has_lost_its_scheduler(tmp_path: Path) -> None:
    environment = {"WORKER_DIRECTORY": str(tmp_path)}
    with pytest.raises(OSError, match="no worker process has joined"):
        probe.probe("worker", environment)
    made = tmp_path / "tidegate-worker-x"
    made.mkdir()
    first, second = Joined(made, "w-0"), Joined(made, "w-1")
    with pytest.raises(OSError, match="no worker process has joined"):
        probe.probe("worker", environment)
    second.set()
    probe.probe("worker", environment)
    first.set()
    second.clear()
    probe.probe("worker", environment)
    first.clear()
    assert probe.main(["worker"], environment) == 1


def test_what_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["redis"], ["api", "scheduler"]):
        assert probe.main(arguments, {}) == 2
    assert "api|autoscaler|scheduler" in capsys.readouterr().err


def test_defaults_are_those_of_the_settings() -> None:
    assert {
        "api": ("API_PORT", ApiSettings.model_fields["api_port"].default),
        "autoscaler": ("AUTOSCALER_PORT", AutoscalerSettings.model_fields["autoscaler_port"].default),
        "scheduler": ("SCHEDULER_PORT", SchedulerProcessSettings.model_fields["scheduler_port"].default),
    } == probe.PORTS


def test_it_is_light() -> None:
    """It runs every few seconds beside the service: nothing but the standard library, and little of that."""
    script = (
        "import sys; before = set(sys.modules); from services import probe;"
        "print(probe.main(['scheduler'], {'SCHEDULER_PORT': sys.argv[1]}));"
        "print(sorted({name.partition('.')[0] for name in sys.modules.keys() - before} - sys.stdlib_module_names))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with answering(greeting(40, 40)) as port:
        started = time.monotonic()
        answer = subprocess.run(
            [sys.executable, "-c", script, str(port)], capture_output=True, text=True, check=True, timeout=60
        )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.stdout.split() == ["0", "['services']"]
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 1.0
    assert time.monotonic() - started < 30
