"""What an API process runs beside its HTTP server, in the test's own process, on a stack without an API."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from services.api.background import Background, background
from services.api.dispatch_settings import DispatchSettings
from services.api.metrics import Metrics
from services.compute.models import FINAL_STATES, Priority
from services.compute.registry import Registry, load_registry
from services.compute.settings import RedisSettings
from services.compute.store import AsyncStore, StoredRecord, Submission
from tests.harness.stack import Stack


async def until(probe: Callable[[], Awaitable[object]], what: str, seconds: float = 30.0, pause: float = 0.05) -> None:
    """Ask the probe until it answers true; raise AssertionError after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not (answer := await probe()):
        assert loop.time() < end, f"not within {seconds:g} s: {what} (last answer {answer!r})"
        await asyncio.sleep(pause)


def settings(stack: Stack, **changes: Any) -> DispatchSettings:
    """The stack's addresses, a short interval and grace."""
    first, second = stack.scheduler_ports
    values = {
        "scheduler_address": f"tcp://127.0.0.1:{first}",
        "scheduler_fallback": f"tcp://127.0.0.1:{second}",
        "reconcile_interval": 0.5,
        "reconcile_grace": 2.0,
    }
    return DispatchSettings(**{**values, **changes})


@asynccontextmanager
async def store_of(stack: Stack) -> AsyncIterator[AsyncStore]:
    """A store of the stack's Redis."""
    made = AsyncStore.from_settings(
        RedisSettings(redis_url=stack.environment["REDIS_URL"], redis_prefix=stack.environment["REDIS_PREFIX"])
    )
    try:
        yield made
    finally:
        await made.aclose()


class Replica:
    """One store, and what runs over it."""

    def __init__(self, store: AsyncStore, registry: Registry, metrics: Metrics, running: Background) -> None:
        self.store = store
        self.registry = registry
        self.metrics = metrics
        self.running = running

    async def submit(
        self, name: str, sets: Sequence[Mapping[str, Any]], priority: Priority = Priority.BATCH, *, wake: bool = True
    ) -> list[str]:
        """Put tasks into the queue, as the HTTP API does; return their ids."""
        computation = self.registry[name]
        items = []
        for each in sets:
            parameters = computation.validate(dict(each))
            task_id = computation.identify(parameters)
            items.append(Submission(task_id, computation.version, computation.dump(parameters)))
        await self.store.submit(items, priority=priority, records=False)
        if wake:
            self.running.wake()
        return [item.task_id for item in items]

    async def records(self, ids: Sequence[str]) -> list[StoredRecord]:
        """The records of tasks that exist."""
        found = await self.store.get(ids)
        assert None not in found
        return [record for record in found if record is not None]

    async def states(self, ids: Sequence[str]) -> Counter[str]:
        """How many tasks are in each state."""
        return Counter(record.state.value for record in await self.records(ids))

    async def final(self, ids: Sequence[str], seconds: float = 60.0) -> list[StoredRecord]:
        """Wait until all are final."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            records = await self.records(ids)
            if all(record.state in FINAL_STATES for record in records):
                return records
            assert loop.time() < end, f"not final after {seconds:g} s: {await self.states(ids)}"
            await asyncio.sleep(0.1)

    async def done(self, ids: Sequence[str], seconds: float = 60.0) -> list[StoredRecord]:
        """Wait until all are DONE."""
        records = await self.final(ids, seconds)
        assert await self.states(ids) == {"DONE": len(ids)}, [r.error for r in records if r.error][:3]
        return records


@asynccontextmanager
async def replica(stack: Stack, **changes: Any) -> AsyncIterator[Replica]:
    """Run what runs in an API process."""
    registry = load_registry(stack.environment["COMPUTE_MODULES"])
    metrics = Metrics()
    async with (
        store_of(stack) as store,
        background(store, registry, settings(stack, **changes), metrics) as running,
    ):
        yield Replica(store, registry, metrics, running)
