"""Two replicas over one Redis see the same."""

from __future__ import annotations

import asyncio

from tests.unit.api.api import serve
from tests.unit.api.conftest import Settings


async def test_after_a_forced_refresh_no_replica_serves_the_older_result(settings: Settings) -> None:
    async with serve(settings()) as first, serve(settings()) as second:
        task_id = await first.submit()
        await first.workers.finish(task_id, "old")
        for api in (first, second):
            assert (await api.post({"n": 1})).json()["result"] == "old"
            assert (await api.get(f"{task_id}/result")).json() == "old"
        tag = (await second.get(f"{task_id}/result")).headers["etag"]
        await first.post({"n": 1}, cache_control="no-cache")
        assert (await second.post({"n": 1})).status_code == 202, "at once, not only within a second"
        assert (await second.get(f"{task_id}/result", if_none_match=tag)).status_code == 202
        await first.workers.finish(task_id, "new")
        for api in (first, second):
            assert (await api.post({"n": 1})).json()["result"] == "new"
            assert (await api.get(f"{task_id}/result", if_none_match=tag)).json() == "new"


async def test_what_one_accepts_the_other_waits_for(settings: Settings) -> None:
    async with serve(settings()) as first, serve(settings()) as second:
        task_id = await first.submit()
        waiting = [
            asyncio.create_task(second.get(task_id, prefer="wait=20")),
            asyncio.create_task(second.post({"n": 1}, prefer="wait=20")),
            asyncio.create_task(second.query(task_id, prefer="wait=20")),
        ]
        await asyncio.sleep(0.2)
        await first.workers.finish(task_id, 1)
        record, posted, queried = await asyncio.gather(*waiting)
        assert record.json()["state"] == "DONE"
        assert posted.json()["result"] == 1
        assert queried.json()["all_final"] is True
