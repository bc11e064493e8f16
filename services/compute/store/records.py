"""A record as the server gave it, decoded only where somebody looks.

Every hit passes here, so a `StoredRecord` is made without touching its fields, and `record_json` writes the wire
form straight from the stored bytes: `Record` says what the result must be, and a test holds the two together.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from services.compute.models import Progress, Record, State, TaskError

FIELDS = (
    "state",
    "revision",
    "version",
    "parameters",
    "created",
    "started",
    "finished",
    "expires",
    "attempts",
    "progress",
    "error",
    "object",
    "fence",
)
"""The hash fields that scripts answer with, in this order; the inline result, where asked for, comes after them."""

STATES = {state.value.encode(): state for state in State}
_RESULT = len(FIELDS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StoredRecord:
    """One task's record as read from the server; a value that does not change.

    Args:
        task_id: the task.
        fields: values of `FIELDS` and then the inline result, None where absent.
    """

    __slots__ = ("fields", "task_id")

    def __init__(self, task_id: str, fields: list[bytes | None]) -> None:
        self.task_id = task_id
        self.fields = fields

    def __repr__(self) -> str:
        return f"StoredRecord({self.task_id!r}, {self.state}, revision={self.revision})"

    @property
    def computation(self) -> str:
        """Name of the computation."""
        return self.task_id.rpartition("-")[0]

    @property
    def state(self) -> State:
        """Where the task stands."""
        return STATES[self.fields[0] or b""]

    @property
    def revision(self) -> int:
        """Raised by every change of the record."""
        return int(self.fields[1] or 0)

    @property
    def version(self) -> str:
        """Version of the code that the task was submitted for."""
        return (self.fields[2] or b"").decode()

    @property
    def parameters(self) -> bytes:
        """The parameters, compact JSON."""
        return self.fields[3] or b"{}"

    @property
    def created_ms(self) -> int:
        """When it was submitted, or submitted anew."""
        return int(self.fields[4] or 0)

    @property
    def started_ms(self) -> int | None:
        """When its latest attempt began; None before the first."""
        return None if self.fields[5] is None else int(self.fields[5])

    @property
    def finished_ms(self) -> int | None:
        """When it became final; None before."""
        return None if self.fields[6] is None else int(self.fields[6])

    @property
    def expires_ms(self) -> int | None:
        """When the final record is forgotten; None before it is final."""
        return None if self.fields[7] is None else int(self.fields[7])

    @property
    def attempts(self) -> int:
        """Attempts begun so far."""
        return int(self.fields[8] or 0)

    @property
    def progress(self) -> bytes | None:
        """Last reported progress as JSON; None when none was."""
        return self.fields[9]

    @property
    def error(self) -> bytes | None:
        """Why it FAILED, as JSON; None otherwise."""
        return self.fields[10]

    @property
    def object(self) -> str | None:
        """Reference of a result in the object store; None when it is inline or there is none."""
        value = self.fields[11]
        return None if value is None else value.decode()

    @property
    def fence(self) -> int | None:
        """Number of the attempt that runs or ended it: the result's ETag; None when there is none."""
        return None if self.fields[12] is None else int(self.fields[12])

    @property
    def result(self) -> bytes | None:
        """JSON of the inline result; None when there is none or it was not asked for."""
        return self.fields[_RESULT] if len(self.fields) > _RESULT else None

    def record(self) -> Record:
        """The wire model."""
        return Record(
            task_id=self.task_id,
            computation=self.computation,
            version=self.version,
            parameters=_parameters(self.parameters),
            state=self.state,
            revision=self.revision,
            attempts=self.attempts,
            progress=None if self.progress is None else Progress.model_validate_json(self.progress),
            created_at=_moment(self.created_ms),
            started_at=None if self.started_ms is None else _moment(self.started_ms),
            finished_at=None if self.finished_ms is None else _moment(self.finished_ms),
            expires_at=None if self.expires_ms is None else _moment(self.expires_ms),
            error=None if self.error is None else TaskError.model_validate_json(self.error),
            result_url=result_url(self.task_id),
        )


def result_url(task_id: str) -> str:
    """Path of a task's result."""
    return f"/api/v1/tasks/{task_id}/result"


_TEMPLATE = (
    b'{"task_id":"%b","computation":"%b","version":%b,"parameters":%b,"state":"%b","revision":%b,"attempts":%b,'
    b'"progress":%b,"created_at":%b,"started_at":%b,"finished_at":%b,"expires_at":%b,"error":%b,'
    b'"result_url":"/api/v1/tasks/%b/result"}'
)


def record_json(stored: StoredRecord) -> bytes:
    """The wire record as JSON, equal to that of `stored.record()`, at a fraction of its cost."""
    state, revision, version, parameters, created, started, finished, expires, attempts, progress, error, *_ = (
        stored.fields
    )
    task_id = stored.task_id.encode()
    return _TEMPLATE % (
        task_id,
        task_id.rpartition(b"-")[0],
        _quoted(version or b""),
        parameters or b"{}",
        state or b"",
        revision or b"0",
        attempts or b"0",
        progress or b"null",
        _timestamp(created or b"0"),
        b"null" if started is None else _timestamp(started),
        b"null" if finished is None else _timestamp(finished),
        b"null" if expires is None else _timestamp(expires),
        error or b"null",
        task_id,
    )


@lru_cache(maxsize=1024)
def _quoted(text: bytes) -> bytes:
    """`text` as a JSON string: versions are few and may be any text an author pins."""
    return json.dumps(text.decode(), ensure_ascii=False).encode()


@lru_cache(maxsize=8192)
def _timestamp(milliseconds: bytes) -> bytes:
    """A time as Pydantic prints it, quoted: RFC 3339 in UTC, microseconds only where there are any."""
    moment = _moment(int(milliseconds))
    return f'"{moment.replace(tzinfo=None).isoformat()}Z"'.encode()


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _parameters(data: bytes) -> dict[str, Any]:
    parameters: dict[str, Any] = json.loads(data)
    return parameters
