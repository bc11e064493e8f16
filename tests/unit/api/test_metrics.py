"""What Prometheus sees."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from services.api.metrics import Metrics, TaskLatencies
from tests.unit.api.api import ADD, Api, eventually, serve
from tests.unit.api.conftest import Settings


async def samples(api: Api) -> dict[tuple[str, ...], float]:
    answer = await api.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_counts(api: Api) -> None:
    task_id = await api.submit()
    await api.submit()
    await api.post({"n": -1})
    await api.batch({"n": 1}, {"n": 2}, {"n": 3}, {})
    await api.http.get("/nothing/1")
    await api.http.get("/nothing/2")
    await api.http.request("BREW", "/livez")
    for document in ("docs", "openapi.json"):
        await api.http.get(f"/api/v1/{document}")
    found = await samples(api)
    assert found["tidegate_queue_depth", "interactive"] == 1
    assert found["tidegate_queue_depth", "batch"] == 2
    assert found["tidegate_store_up",] == 1
    await api.workers.finish(task_id, 1)
    assert (await api.post({"n": 1})).status_code == 200
    await eventually(lambda: not {task_id} & api.context.latencies._since.keys())
    found = await samples(api)
    submissions = {name[2]: value for name, value in found.items() if name[:2] == ("tidegate_submissions_total", "add")}
    assert submissions == {"created": 3, "joined": 2, "hit": 1, "invalid": 2, "full": 0}
    assert found["tidegate_task_seconds_count", "add"] == 1
    assert found["tidegate_in_flight",] == 2
    assert found["tidegate_requests_total", "POST", f"{ADD}/tasks", "202"] == 2
    assert found["tidegate_requests_total", "GET", "unmatched", "404"] == 2
    assert found["tidegate_requests_total", "other", "/livez", "405"] == 1
    assert found["tidegate_requests_total", "GET", "/api/v1/docs", "200"] == 1
    assert found["tidegate_requests_total", "GET", "/api/v1/openapi.json", "200"] == 1
    assert found["tidegate_request_seconds_count", f"{ADD}/tasks"] == 4
    assert not any(task_id in part for name in found for part in name)
    assert found["tidegate_requests_active",] == 1
    assert {"tidegate_bundle_size_bucket", "tidegate_scheduler_up"} <= {name[0] for name in found}


async def outcomes(api: Api) -> dict[str, float]:
    counted = await samples(api)
    return {name[2]: value for name, value in counted.items() if name[:2] == ("tidegate_submissions_total", "add")}


async def test_a_batch_counts_what_it_answers(settings: Settings) -> None:
    async with serve(settings(queue_max=3)) as api:
        assert (await api.batch({"n": 1}, {"n": 1}, {"n": 1}, {"n": 2}, {})).status_code == 202
        assert await outcomes(api) == {"created": 2, "joined": 2, "hit": 0, "invalid": 1, "full": 0}
        assert (await api.batch({"n": 1}, {"n": 3}, {"n": 4}, {})).status_code == 429
        assert await outcomes(api) == {"created": 2, "joined": 2, "hit": 0, "invalid": 1, "full": 3}


def test_followed_tasks_are_bounded() -> None:
    latencies = TaskLatencies(Metrics())
    latencies.submitted(f"add-{n}" for n in range(150_000))
    assert len(latencies._since) == 100_000
    latencies.final("add-0")
    latencies.final("add-149999")
    assert len(latencies._since) == 99_999


def test_following_beyond_the_bound_costs_no_more() -> None:
    latencies = TaskLatencies(Metrics())
    latencies.submitted(f"add-{n}" for n in range(100_000))
    start = time.process_time()
    for begin in range(100_000, 300_000, 10_000):
        latencies.submitted(f"add-{n}" for n in range(begin, begin + 10_000))
    assert time.process_time() - start < 3  # 0.2 s; 7 s when each looks for the oldest from the front
    assert next(iter(latencies._since)) == "add-200000"
