"""What goes over the wire: the words that API, worker, store and client share.

Light on purpose (Pydantic only), since every image imports it. Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class State(StrEnum):
    """Where a task stands: PENDING → RUNNING → DONE | FAILED | CANCELLED; only the last three are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether a task in this state stays in it until somebody asks for it anew."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Outcome(StrEnum):
    """What a submission met: nothing yet (created), the same task under way (joined), or its result (hit)."""

    CREATED = "created"
    JOINED = "joined"
    HIT = "hit"


class Priority(StrEnum):
    """Which queue a task waits in; interactive tasks overtake batches."""

    INTERACTIVE = "interactive"
    BATCH = "batch"


class Model(BaseModel):
    """Base of the wire models: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Progress(Model):
    """How far a running task says it is; `total` None when the computation does not know."""

    done: float
    total: float | None = None
    message: str | None = None


class TaskError(Model):
    """Why a task FAILED: `type` is a slug of ours (`timeout`) or the exception's class name."""

    type: str
    message: str


class Record(Model):
    """All that a client may know about a task."""

    task_id: str = Field(description="`<computation>-<32 hex digits>`, derived from name, version and parameters")
    computation: str
    version: str = Field(description="Version of the computation's code that the task was submitted for")
    parameters: dict[str, Any] = Field(description="Validated parameters, defaults filled in")
    state: State
    revision: int = Field(description="Raised by every change of the record")
    attempts: int = Field(description="Attempts begun so far")
    progress: Progress | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = Field(None, description="When a final record is forgotten")
    error: TaskError | None = None
    result_url: str = Field(description="Path of the result")
