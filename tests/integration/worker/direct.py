"""Scheduler, workers and Valkey without the API: the test itself takes tasks from the queue and sends them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Client, fire_and_forget

from services.compute.models import Priority, State
from services.compute.registry import load_registry
from services.compute.runner import run_bundle
from services.compute.settings import RedisSettings
from services.compute.store import Store, StoredRecord, Submission
from tests.harness.stack import COMPUTATIONS, Stack
from tests.harness.waiting import eventually

OWN = "tests.integration.worker.computations"


class Direct:
    """A stack without an API.

    Args:
        directory: for all files.
        environment: settings over the stack's defaults.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        modules = f"{COMPUTATIONS},{OWN}"
        self.stack = Stack(directory, {"COMPUTE_MODULES": modules, "WORKER_GRACE": "20", **(environment or {})})
        self.registry = load_registry(modules)
        self.store = Store.from_settings(
            RedisSettings(redis_url=f"redis://127.0.0.1:{self.stack.redis_port}/0", redis_prefix="check")
        )
        self._client: Client | None = None

    def start(self, *, workers: int = 1, processes: int = 1, threads: int = 2) -> Direct:
        """Start everything and wait for the workers."""
        self.stack.start(apis=0, workers=workers, processes=processes, threads=threads)
        eventually(self._answers, "Valkey answers")
        return self

    def _answers(self) -> bool:
        with suppress(Exception):
            self.store.ping()
            return True
        return False

    @property
    def client(self) -> Client:
        """A client of the present scheduler."""
        address = f"tcp://127.0.0.1:{self.stack.scheduler.environment['SCHEDULER_PORT']}"
        if self._client is None:
            self._client = Client(address, set_as_default=False)
        return self._client

    def forget_client(self) -> None:
        """The scheduler is about to be replaced."""
        if self._client is not None:
            self._client.close(timeout=2)
            self._client = None

    def submit(self, name: str, *parameters: Mapping[str, Any]) -> list[str]:
        """Queue tasks and send them to Dask; their ids."""
        known = self.registry[name]
        validated = [known.validate(each) for each in parameters]
        ids = [known.identify(each) for each in validated]
        items = [
            Submission(task_id, known.version, known.dump(each)) for task_id, each in zip(ids, validated, strict=True)
        ]
        self.store.submit(items, priority=Priority.INTERACTIVE)
        self.dispatch()
        return ids

    def dispatch(self) -> int:
        """Send what is queued, as the API does; how many bundles that were."""
        versions = {name: [version] for name, version in self.registry.versions.items()}
        taken = self.store.take(
            limit=1000, bound=10_000, threads=2, versions=versions, scheduler="one", dispatch_hex=secrets.token_hex(8)
        )
        for bundle in taken.bundles:
            future = self.client.submit(
                run_bundle,
                bundle.dispatch,
                bundle.computation,
                bundle.version,
                list(bundle.task_ids),
                key=bundle.dispatch,
                pure=False,
            )
            fire_and_forget(future)
            future.release()
        return len(taken.bundles)

    def records(self, ids: Sequence[str]) -> list[StoredRecord]:
        """The records; all must exist."""
        found = self.store.get(ids, with_results=True)
        return [record for record in found if record is not None]

    def states(self, ids: Sequence[str]) -> list[State]:
        """The states, in order."""
        return [record.state for record in self.records(ids)]

    def final(self, ids: Sequence[str], seconds: float = 60.0) -> list[StoredRecord]:
        """Wait until all are final; the records."""
        eventually(lambda: all(state.final for state in self.states(ids)), "all are final", seconds=seconds)
        return self.records(ids)

    def stop(self, *, gently: bool = True) -> None:
        """End everything."""
        self.forget_client()
        self.store.close()
        self.stack.stop(gently=gently)
