"""Which exceptions are a task's own, and what is kept of them."""

from __future__ import annotations

import asyncio

from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from services.compute.runner.failures import describe, lost_connection, shorten


def test_short_texts_stay_and_long_ones_say_their_length() -> None:
    assert shorten("fine") == "fine"
    cut = shorten("x" * 5000)
    assert len(cut.encode()) <= 2048
    assert cut.endswith("… (5,000 characters)")


def test_a_message_that_cannot_be_encoded_or_read() -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(ValueError("\ud800")).message == "?"
    assert "cannot be read" in describe(Unreadable()).message
    assert describe(ValueError()).message == "(no message)"


def test_lost_connections_are_recognised_through_what_they_caused() -> None:
    assert lost_connection(CommClosedError("gone"))
    assert lost_connection(FutureCancelledError("key", "scheduler-connection-lost"))
    assert lost_connection(asyncio.CancelledError())
    assert not lost_connection(ValueError("mine"))
    assert not lost_connection(TimeoutError("mine"))
    wrapped = RuntimeError("could not gather")
    wrapped.__context__ = CommClosedError("gone")
    assert lost_connection(wrapped)
