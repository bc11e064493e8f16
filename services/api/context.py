"""What the routes of one app share: built once by `create_app`, handed to each router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from services.api.metrics import Metrics, TaskLatencies
from services.api.settings import ApiSettings
from services.api.waiters import ChangeHub
from services.compute.registry import Registry
from services.compute.store.aio import AsyncStore
from services.objects import AsyncObjects

API = "/api/v1"
CALL = "tidegate.call"
"""Key of the request's `Call` in the ASGI scope."""


class Call:
    """What is known of one request, for its log line and its answer's headers.

    Attributes:
        request_id: the client's `X-Request-ID`, or one of ours.
        task_id: the task that the request is about; None when there is none, or several.
        status: status of the answer; 0 before it began.
        held: whether the answer took as long as its client wished; known where requests are counted for CloudWatch.
    """

    __slots__ = ("held", "request_id", "status", "task_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.task_id: str | None = None
        self.status = 0
        self.held = False


def about(scope: Scope, task_id: str) -> None:
    """Note the task that a request is about, for its log line."""
    call: Call | None = scope.get(CALL)
    if call is not None:
        call.task_id = task_id


@dataclass(slots=True)
class Context:
    """Collaborators and bounds of one app.

    Attributes:
        settings: as read from the environment.
        registry: the computations served.
        store: Redis.
        objects: large results; None when no object store is set.
        metrics: what is counted.
        latencies: times of the tasks created here.
        hub: who waits.
        wake: tells the dispatcher of this process that there is work; does nothing without one.
        batches: batches worked on.
        streams: event streams open.
        leaving: whether the process was told to end.
    """

    settings: ApiSettings
    registry: Registry
    store: AsyncStore
    objects: AsyncObjects | None
    metrics: Metrics
    latencies: TaskLatencies
    hub: ChangeHub
    batches: asyncio.Semaphore
    wake: Callable[[], None] = field(default=lambda: None)
    streams: int = 0
    leaving: bool = False

    @property
    def root(self) -> str:
        """Path prefix of every path in answers."""
        return self.settings.root_path
