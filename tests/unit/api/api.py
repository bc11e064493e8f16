"""The real app over a real Valkey, in this process; and what workers do to its tasks, done by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from services.api.app import create_app
from services.api.context import Context
from services.api.settings import ApiSettings
from services.compute.models import Progress, State, TaskError
from services.compute.registry import load_registry
from services.compute.store import AsyncStore, Finished, Started
from services.objects import ObjectStore

REGISTRY = load_registry("tests.unit.api.computations")
ADD = "/api/v1/computations/add"
TASKS = "/api/v1/tasks"
UNKNOWN = "add-" + 32 * "0"
PROBLEM = "application/problem+json"


class Workers:
    """Takes tasks from the queue and ends them as asked, through the store's own commands."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self.started: dict[str, Started] = {}

    async def start(self) -> None:
        """Take and start whatever waits."""
        taken = await self._store.take(
            limit=100_000,
            bound=100_000,
            threads=1_000,
            versions={name: [version] for name, version in REGISTRY.versions.items()},
            scheduler="scheduler",
            target_ms=100,
            max_bundle=500,
            check_after_ms=60_000,
            version_wait_ms=60_000,
            failed_ttl_ms=60_000,
        )
        for bundle in taken.bundles:
            for answer in await self._store.start(
                bundle.dispatch,
                bundle.task_ids,
                worker="worker",
                run="0" * 16,
                timeout_ms=60_000,
                max_attempts=4,
                result_ttl_ms=60_000,
                check_after_ms=60_000,
            ):
                assert isinstance(answer, Started)
                self.started[answer.task_id] = answer

    async def report(self, task_id: str, done: float, total: float | None = None) -> None:
        """Report progress of a task that was started."""
        assert await self._store.progress(task_id, self.started[task_id].fence, Progress(done=done, total=total))

    async def finish(self, task_id: str, result: Any = None, *, ref: str | None = None) -> None:
        """Make a task DONE, started or not."""
        inline = None if ref else json.dumps(result).encode()
        await self._end(task_id, State.DONE, result=inline, object=ref)

    async def fail(self, task_id: str, kind: str, message: str) -> None:
        """Make a task FAILED, started or not."""
        await self._end(task_id, State.FAILED, error=TaskError(type=kind, message=message))

    async def _end(self, task_id: str, state: State, **how: Any) -> None:
        if task_id not in self.started:
            await self.start()
        fence = self.started.pop(task_id).fence
        (accepted,) = await self._store.finish([Finished(task_id, fence, state, ttl_ms=60_000, **how)], {})
        assert accepted


class Api:
    """One app with a client of it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, store: AsyncStore) -> None:
        self.app, self.http, self.store = app, client, store
        self.workers = Workers(store)

    @property
    def context(self) -> Context:
        """What the app's routes share."""
        context: Context = self.app.state.context
        return context

    async def post(self, parameters: Any, **headers: str) -> httpx.Response:
        """POST a task of `add`."""
        return await self.http.post(f"{ADD}/tasks", json=parameters, headers=names(headers))

    async def submit(self, n: int = 1) -> str:
        """POST a task of `add` that must be accepted; return its id."""
        answer = await self.post({"n": n})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """GET a path below the tasks."""
        return await self.http.get(f"{TASKS}/{path}", headers=names(headers))

    async def batch(self, *parameters: Any) -> httpx.Response:
        """POST a batch of `add`."""
        return await self.http.post(f"{ADD}/batches", json={"parameters": parameters})

    async def query(self, *ids: str, results: bool = False, **headers: str) -> httpx.Response:
        """POST a query."""
        body = {"task_ids": ids, "include_results": results}
        return await self.http.post(f"{TASKS}/query", json=body, headers=names(headers))


def names(headers: dict[str, str]) -> dict[str, str]:
    """Header names from argument names."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def check_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """Check that an answer is this problem document, and return it."""
    assert answer.status_code == status, answer.text[:1000]
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["x-request-id"]
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:tidegate:{slug}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["instance"].startswith("/")
    return document


@asynccontextmanager
async def serve(settings: ApiSettings, objects: ObjectStore | None = None) -> AsyncIterator[Api]:
    """Run an app without a network, on a store of its own."""
    store = AsyncStore.from_settings(settings)
    app = create_app(settings, REGISTRY, store, objects)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client,
        ):
            yield Api(app, client, store)
    finally:
        await store.aclose()


async def eventually(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
