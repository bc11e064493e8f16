"""Children that run on for a parent that has ended: short ones are let be."""

from __future__ import annotations

from services.worker.dask_worker import Strays


def test_only_what_stays_released_for_too_long_is_late() -> None:
    now = 100.0
    strays = Strays(patience=2.0, clock=lambda: now)
    assert strays.late({"a", "b"}) == set()
    now = 101.9
    assert strays.late({"a", "c"}) == set()
    now = 102.0
    assert strays.late({"a", "b", "c"}) == {"a"}, "b was wanted again in between"
    now = 104.0
    assert strays.late({"b", "c"}) == {"b", "c"}
    assert strays.late(set()) == set()
