"""Reports go to the reporter of the thread, in a form that it can store."""

from __future__ import annotations

import math
import threading
from decimal import Decimal
from typing import Any

import pytest

from services.compute import Progress, TaskCancelled, TaskTimeout, report_progress
from services.compute.progress import MESSAGE_MAX, install, restore

Report = tuple[float, float | None, str | None]


def test_outside_a_task_nothing_happens() -> None:
    report_progress(1, 2, "half")


def test_reports_reach_the_reporter_of_their_thread() -> None:
    seen: list[Report] = []
    token = install(lambda *report: seen.append(report))
    try:
        report_progress(1)
        report_progress(1, 2, "half")
        other = threading.Thread(target=report_progress, args=(9,))
        other.start()
        other.join()
    finally:
        restore(token)
    report_progress(9)
    assert seen == [(1.0, None, None), (1.0, 2.0, "half")]


def test_numbers_and_messages_are_made_storable() -> None:
    seen: list[Report] = []
    token = install(lambda *report: seen.append(report))
    report_progress(math.nan, math.inf, "x" * 2 * MESSAGE_MAX)
    restore(token)
    assert seen == [(0.0, None, "x" * MESSAGE_MAX)]


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError


@pytest.mark.parametrize("number", [10**400, -(10**400), "many", None, 1j, Decimal("sNaN"), Unreadable()])
def test_any_number_can_be_reported(number: Any) -> None:
    seen: list[Report] = []
    token = install(lambda *report: seen.append(report))
    report_progress(number, number)
    restore(token)
    assert seen == [(0.0, None, None)]


def test_any_message_can_be_reported() -> None:
    seen: list[Report] = []
    token = install(lambda *report: seen.append(report))
    for message in ("a\ud800b", b"\xff", 3, Unreadable()):
        report_progress(1, 2, message)  # type: ignore[arg-type]
    restore(token)
    messages = [message for _, _, message in seen]
    assert messages == ["a?b", "b'\\xff'", "3", "(a message that cannot be read: RuntimeError)"]
    assert all(Progress(done=1, message=message).model_dump_json() for message in messages)


def test_what_stops_a_task_passes_its_except_exception() -> None:
    for stop in (TaskCancelled, TaskTimeout):
        assert not issubclass(stop, Exception)


def test_a_cancelled_task_stops_at_its_report() -> None:
    def cancelled(*_: object) -> None:
        raise TaskCancelled("stop")

    token = install(cancelled)
    with pytest.raises(TaskCancelled):
        report_progress(1)
    restore(token)
