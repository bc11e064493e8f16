"""Reading: records, the recent listing, leases, the fleet's document."""

from __future__ import annotations

import json
import time

import pytest
import redis

from services.compute.models import Priority, Progress, State
from services.compute.store import record_json
from tests.contracts.store.steps import REASON, Steps, ident


def test_the_wire_form_equals_the_model_s(steps: Steps) -> None:
    steps.submit(1)
    _, attempt = steps.running(2)
    steps.store.progress(ident(2), attempt.fence, Progress(done=1, total=3, message="ä"))
    steps.done(3)
    _, attempt = steps.running(4)
    steps.finish(attempt, State.FAILED, result=None, error=REASON)
    steps.submit(5)
    steps.cancel(5)
    for number in range(1, 6):
        stored = steps.get(number)
        assert record_json(stored) == stored.record().model_dump_json().encode()


def test_records_come_in_order_with_none_for_the_unknown(steps: Steps) -> None:
    steps.submit(1, 2)
    records = steps.store.get([ident(2), ident(9), ident(1), ident(2)])
    assert [record and record.task_id for record in records] == [ident(2), None, ident(1), ident(2)]


def test_many_records_in_one_call(steps: Steps) -> None:
    steps.submit(*range(1300), records=False)
    records = steps.store.get([ident(number) for number in range(1300)])
    assert [record.task_id for record in records] == [ident(number) for number in range(1300)]


def test_recent_tasks_come_newest_first_and_page(steps: Steps) -> None:
    for number in range(10):
        steps.submit(number)
    seen: list[str] = []
    cursor, pages = None, 0
    while True:
        page = steps.store.recent(limit=4, cursor=cursor)
        seen += [record.task_id for record in page.records]
        pages += 1
        steps.submit(100 + pages)  # newer ones do not shift the pages
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [ident(number) for number in reversed(range(10))]


@pytest.mark.parametrize("limit", [1, 7, 499])
def test_tasks_of_one_batch_page_without_loss(steps: Steps, limit: int) -> None:
    steps.submit(*range(500), records=False)
    seen: list[str] = []
    cursor = None
    for _ in range(600):
        page = steps.store.recent(limit=limit, cursor=cursor)
        seen += [record.task_id for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == [ident(number) for number in range(500)]


def test_filters(steps: Steps) -> None:
    steps.done(1)
    steps.submit(2, 3)
    steps.submit(1, name="svd")
    recent = steps.store.recent
    assert [r.task_id for r in recent(state=State.DONE).records] == [ident(1)]
    assert {r.task_id for r in recent(computation="fib").records} == {ident(1), ident(2), ident(3)}
    assert {r.task_id for r in recent(computation="fib", state=State.PENDING).records} == {ident(2), ident(3)}
    page = recent(computation="nobody")
    assert (page.records, page.next_cursor) == ((), None)


def test_a_filter_that_finds_little_does_bounded_work(steps: Steps) -> None:
    steps.submit(1, name="svd")
    steps.submit(*range(2500), records=False)
    cursor, pages, found = None, 0, []
    while True:
        page = steps.store.recent(computation="svd", cursor=cursor)
        found += page.records
        pages += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    assert [record.task_id for record in found] == [ident(1, "svd")]
    assert 2 < pages <= 4


def test_records_that_are_gone_are_passed_over(steps: Steps, raw: redis.Redis) -> None:
    steps.done(1, ttl_ms=1)
    steps.submit(2)
    time.sleep(0.02)
    page = steps.store.recent()
    assert ([record.task_id for record in page.records], page.next_cursor) == ([ident(2)], None)


def test_the_listing_is_bounded(steps: Steps, raw: redis.Redis) -> None:
    steps.submit(*range(12_000), records=False)
    assert raw.zcard("{contract}:recent") == 10_000
    assert steps.store.recent(limit=1).records[0].task_id >= ident(11_000)


@pytest.mark.parametrize("cursor", ["!!", "bm9uc2Vuc2U", "é", "MTIz" * 100, "LTE="])
def test_a_cursor_of_somebody_else_is_refused(steps: Steps, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        steps.store.recent(cursor=cursor)


def test_a_lease_has_one_owner(steps: Steps) -> None:
    store = steps.store
    assert store.lease("reconcile", "a", 60_000)
    assert store.lease("reconcile", "a", 60_000)
    assert not store.lease("reconcile", "b", 60_000)
    assert not store.release("reconcile", "b")
    assert store.lease("other", "b", 60_000)
    assert store.release("reconcile", "a")
    assert not store.release("reconcile", "a")
    assert store.lease("reconcile", "b", 60_000)


def test_a_lease_ends_by_the_server_s_clock(steps: Steps) -> None:
    assert steps.store.lease("reconcile", "a", 100)
    time.sleep(0.15)
    assert steps.store.lease("reconcile", "b", 60_000)
    assert not steps.store.lease("reconcile", "a", 100)
    assert not steps.store.release("reconcile", "a")


def test_ping(steps: Steps) -> None:
    steps.store.ping()


def test_parameters_of_any_kind_come_back_as_they_were(steps: Steps) -> None:
    for number, parameters in enumerate(
        [b"{}", '{"text":"é\\n\\"💥","f":1.5,"nan":"NaN"}'.encode(), b'{"x":[' + b"1," * 9000 + b"1]}"]
    ):
        steps.store.submit([(ident(number), 'v/1 "q"', parameters)], priority=Priority.BATCH)
        stored = steps.get(number)
        assert stored.parameters == parameters
        assert json.loads(record_json(stored)) == json.loads(stored.record().model_dump_json())
        assert stored.version == 'v/1 "q"'
