"""The images and the compose stack, made once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.engine import Compose, Images, docker, problem
from tests.harness.absent import absent
from tests.harness.client import Client
from tests.harness.process import free_port


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """All three images, built."""
    why = problem()
    if why:
        absent(f"no container engine: {why}")
    made = Images.prepare(tmp_path_factory.mktemp("images"))
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def stack(images: Images) -> Iterator[Compose]:
    """`docker compose up`, as users type it; taken down at the end."""
    volumes = set(docker("volume", "ls", "-q").split())
    port = free_port()
    compose = Compose(images.context, {**images.environment(), "API_PORT": str(port), "REDIS_PASSWORD": "e2e-secret"})
    try:
        compose("up", "-d", "--wait", "--wait-timeout", "180")
        yield compose
    finally:
        compose("down", "-v", "--remove-orphans", "--timeout", "5")
    assert compose.leavings() == []
    assert set(docker("volume", "ls", "-q").split()) <= volumes, "each container has left volumes without a name"


@pytest.fixture(scope="module")
def client(stack: Compose) -> Iterator[Client]:
    """Of the API at its published port."""
    made = Client(f"http://127.0.0.1:{stack.environment['API_PORT']}")
    yield made
    made.close()
