"""The local fleet rises with the work and falls after it, and the terminal says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.waiting import eventually
from tests.integration.local.house import LocalStack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    made = LocalStack(tmp_path / "home", environment={"LOCAL_WORKERS_MAX": "3", "STABILIZATION_WINDOW": "3"})
    yield made
    made.clean()


def test_from_one_worker_to_the_maximum_and_back(stack: LocalStack) -> None:
    client = stack.up()
    first = re.compile("workers: (0 → )?1")
    eventually(lambda: first.search(stack.output()), "the first worker is there", seconds=90)
    ids = client.batch("monte_carlo_pi", [{"samples": 4_000_000, "seed": seed} for seed in range(60)])
    eventually(lambda: "→ 3" in stack.output(), "the fleet has risen to its maximum", seconds=120)
    client.done(ids, seconds=240)
    eventually(lambda: "→ 1" in stack.output().rpartition("→ 3")[2], "the fleet has fallen again", seconds=120)
    fleet = client.http.get("/api/v1/fleet").json()
    assert (fleet["observed"]["joined"], fleet["observed"]["on_demand"]) == (1, 1)
    assert fleet["decided"]["desired"] == 1
    assert len(fleet["history"]) >= 2
    assert stack.end() == 0
    assert stack.processes() == []
