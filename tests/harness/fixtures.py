"""What fixtures are made of: a stack that lives as long as the module, and the end of a run that is ended."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import pytest

from tests.harness.certificates import Certificate
from tests.harness.stack import Stack


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let a test run that is ended by SIGTERM end what it has started."""

    def leave(number: int, frame: FrameType | None) -> None:
        pytest.exit("SIGTERM", returncode=143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def module_stack(
    *,
    apis: int = 1,
    workers: int = 1,
    processes: int = 1,
    threads: int = 2,
    environment: Mapping[str, str] | None = None,
    member: Certificate | None = None,
) -> Any:
    """Return a fixture with a started stack; the module's tests share it and leave it whole."""

    @pytest.fixture(scope="module")
    def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
        made = Stack(tmp_path_factory.mktemp("stack"), environment, member)
        try:
            yield made.start(apis=apis, workers=workers, processes=processes, threads=threads)
        except BaseException:
            print(made.logs())
            made.stop(gently=False)
            raise
        made.stop()

    return stack
