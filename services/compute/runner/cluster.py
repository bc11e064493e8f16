"""Dask collections that a computation returns, computed on the cluster while the thread waits outside its pool."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.compute.runner.attempt import Attempt

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set, frozenset})

CHILD_PRIORITY = 10
"""Dask priority of what a running task waits for: ahead of tasks that have not begun."""

STOPPED_BY_CLIENT_S = 2.0
"""How often a waiting parent asks whether it was cancelled, in seconds."""


def is_collection(value: object) -> bool:
    """Whether a value is a Dask collection or a Delayed, that is, a plan and not a result."""
    if type(value) in _PLAIN:
        return False
    from dask.base import is_dask_collection

    return bool(is_dask_collection(value))


def compute_on_cluster(collection: object, attempt: Attempt, alive: Callable[[Attempt], bool]) -> Any:
    """The collection's value.

    The calling thread leaves its worker's pool for good (`secede`): the pool starts another one in its place, so
    that the children can run here too, and this one ends with its task instead of waiting for a place to come back to.

    Args:
        collection: a Dask collection or Delayed.
        attempt: on whose behalf; its end ends the wait.
        alive: asks the store whether the attempt still holds its task.

    Raises:
        TaskCancelled: the attempt lost its task while it waited; the children are released.
        TaskTimeout: its deadline passed.
        Exception: what the children raised.
    """
    from distributed import get_client, secede

    client = get_client()
    with contextlib.suppress(KeyError):  # it has seceded already
        secede()
    future = client.compute(collection, priority=CHILD_PRIORITY)
    asked = time.monotonic()
    try:
        while True:
            try:
                return future.result(timeout=0.5)
            except TimeoutError:
                if future.done():  # the children's own TimeoutError
                    raise
            attempt.check()
            if time.monotonic() - asked > STOPPED_BY_CLIENT_S:
                asked = time.monotonic()
                if not alive(attempt):
                    attempt.cancelled = True
    finally:
        future.release()
