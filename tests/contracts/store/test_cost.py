"""What a queued task weighs, and how long one call holds the server up; bounds are several times what was measured."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from services.compute.models import Priority, State
from services.compute.settings import RedisSettings
from services.compute.store import Finished, Started, Store, Submission
from tests.contracts.store.steps import TTL, VERSION, Steps, ident
from tests.servers import Server

COUNT = 20_000


@pytest.fixture
def steps(raw: redis.Redis, settings: RedisSettings) -> Any:
    store = Store.from_settings(settings)
    yield Steps(store)
    store.close()


def test_a_queued_task_weighs_little(steps: Steps, raw: redis.Redis, server: Server) -> None:
    def used() -> int:
        info: Any = raw.info("memory")
        return int(info["used_memory"])

    before = used()
    parameters = b'{"n":1234,"mode":"fast"}'
    for begin in range(0, COUNT, 500):
        items = [Submission(ident(n), VERSION, parameters) for n in range(begin, begin + 500)]
        steps.store.submit(items, priority=Priority.BATCH, records=False)
    each = (used() - before) / COUNT
    print(f"{each:.0f} bytes per queued task on {server.binary.name}")
    assert each <= (600 if "valkey" in server.binary.name else 700)


def test_calls_do_not_hold_the_server_up(steps: Steps, raw: redis.Redis) -> None:
    raw.slowlog_reset()
    steps.learn(ms=0.1)
    for begin in range(0, 5_000, 500):
        steps.submit(*range(begin, begin + 500), records=False)
    taken = steps.take(limit=5_000, bound=10_000, threads=4)
    for bundle in taken.bundles[:4]:
        started = steps.start(bundle.dispatch, *bundle.task_ids)
        ends = [Finished(a.task_id, a.fence, State.DONE, TTL, b"1") for a in started if isinstance(a, Started)]
        assert all(steps.store.finish(ends))
    slow: Any = raw.slowlog_get(128)
    longest = {str(entry["command"])[:30]: entry["duration"] / 1000 for entry in slow}
    print(longest)
    assert all(ms < 500 for ms in longest.values()), longest
