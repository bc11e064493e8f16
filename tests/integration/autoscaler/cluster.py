"""A whole deployment with an autoscaler: ECS is the strict fake over HTTP, and its tasks are real worker processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.compute.settings import RedisSettings
from services.compute.store import Store
from tests.fakes.ecs import Definition
from tests.fakes.ecs_processes import ProcessFleet
from tests.harness.ledger import Ledger
from tests.harness.process import Managed, free_port
from tests.harness.stack import Stack
from tests.harness.waiting import eventually

CLUSTER = "tidegate"


class Cluster:
    """Valkey, scheduler and API as processes, an ECS that starts workers, and autoscalers.

    Args:
        directory: for all files.
        settings: of the autoscalers, over the defaults here, which follow the work within seconds.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.stack = Stack(directory / "stack", {"WORKER_GRACE": "20"})
        self.ledger = Ledger(directory / "ledger")
        worker = {**self.stack.environment, "WORKER_PROCESSES": "1", "WORKER_THREADS": "1", "SCHEDULER_WAIT": "60"}
        command = (sys.executable, "-m", "services.worker")
        definitions = [
            Definition("worker", revision, command=command, environment=worker, stop_timeout=30.0)
            for revision in (1, 2)
        ]
        (directory / "ecs").mkdir()
        self.ecs = ProcessFleet(directory / "ecs", definitions, cluster=CLUSTER, latency=0.2)
        self.settings = {
            **self.stack.environment,
            **self.ecs.server.environment(),
            "FLEET": "ecs",
            "ECS_CLUSTER": CLUSTER,
            "WORKER_TASK_DEFINITION": "worker:1",
            "WORKER_SUBNETS": "subnet-1",
            "WORKER_SECURITY_GROUPS": "sg-1",
            "WORKERS_MIN": "1",
            "WORKERS_MAX": "8",
            "TARGET_DURATION": "1",
            "STABILIZATION_WINDOW": "2",
            "FLUCTUATION_WINDOW": "2",
            "MINIMUM_BILL": "0",
            "NEWEST_GRACE": "0",
            "JOIN_TIMEOUT": "90",
            "AUTOSCALER_INTERVAL": "0.5",
            "AUTOSCALER_HOST": "127.0.0.1",
            "LOG_FORMAT": "json",
            **(settings or {}),
        }
        self.autoscalers: list[Managed] = []

    def start(self) -> Cluster:
        """Start everything, the first autoscaler too, and wait for the first worker."""
        self.stack.start(workers=0)
        self.add_autoscaler()
        self.wait_joined(1)
        return self

    def add_autoscaler(self, **changes: str) -> Managed:
        """Start one more autoscaler process."""
        environment = {**self.settings, "AUTOSCALER_PORT": str(free_port()), **changes}
        name = f"autoscaler-{len(self.autoscalers)}"
        made = Managed(name, [sys.executable, "-m", "services.autoscaler"], environment, self.stack.directory)
        made.start()
        self.autoscalers.append(made)
        return made

    def fleet(self) -> dict[str, Any]:
        """What the API says of the fleet."""
        found: dict[str, Any] = self.stack.client().http.get("/api/v1/fleet").json()
        return found

    def joined(self) -> int:
        """Workers that have joined and take work, by the autoscaler's own word."""
        observed = self.fleet()["observed"] or {}
        return int(observed.get("joined", 0))

    def wait_joined(self, at_least: int, seconds: float = 120.0) -> None:
        """Wait until so many workers have joined."""
        eventually(lambda: self.joined() >= at_least, f"{at_least} workers joined", seconds=seconds, pause=0.3)

    def wait_alone(self, count: int = 1, seconds: float = 120.0) -> None:
        """Wait until just so many machines are left."""
        what = f"{count} machines are left"
        eventually(lambda: len(self.ecs.alive()) == count, what, seconds=seconds, pause=0.3)

    def submit(self, count: int, seconds: float, first: int = 0) -> list[str]:
        """A batch of tasks that sleep and leave marks in the ledger."""
        sets = [{"ledger": str(self.ledger), "n": first + n, "seconds": seconds} for n in range(count)]
        return self.stack.client().batch("counted", sets)

    def notes(self) -> dict[str, bytes]:
        """The autoscaler's notes."""
        environment = self.stack.environment
        store = Store.from_settings(
            RedisSettings(redis_url=environment["REDIS_URL"], redis_prefix=environment["REDIS_PREFIX"])
        )
        try:
            return store.fleet_notes()
        finally:
            store.close()

    def decisions(self, autoscaler: Managed) -> list[dict[str, Any]]:
        """The decisions that an autoscaler has logged."""
        lines = [json.loads(line) for line in autoscaler.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "decision"]

    def stop(self, *, gently: bool = True) -> None:
        """End everything; raise AssertionError when something is left that should not be."""
        wrong = []
        for each in self.autoscalers:
            if each.running:
                try:
                    assert each.terminate(20) == 0, f"{each.name} ended with an error\n{each.tail()}"
                except AssertionError as error:
                    wrong.append(str(error))
                    each.kill()
        self.ecs.close()
        self.stack.stop(gently=gently)
        assert not wrong or not gently, "\n".join(wrong)
