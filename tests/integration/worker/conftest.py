"""A stack without an API for each test: these tests kill its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.worker.direct import Direct

Start = Callable[..., Direct]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a stack: `start(environment, workers=…, processes=…, threads=…)`."""
    made: list[Direct] = []

    def begin(environment: dict[str, str] | None = None, **counts: int) -> Direct:
        made.append(Direct(tmp_path / "stack", environment))
        return made[-1].start(**counts)

    failed = True
    try:
        yield begin
        failed = False
    finally:
        for each in made:
            each.stop(gently=not failed)
