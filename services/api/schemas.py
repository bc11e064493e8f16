"""What OpenAPI says of requests and answers, beyond the wire models that `services.compute.models` shares."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.compute.models import Outcome, Record, State

ITEMS_MAX = 10_000
"""Sets in a batch, and ids in a query."""

TASK_ID = r"^[a-z][a-z0-9_]{0,63}-[0-9a-f]{32}$"


class ValidationProblem(BaseModel):
    """One reason why parameters were refused."""

    loc: list[str | int] = Field(description="Where, from the outside in")
    msg: str
    type: str


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:tidegate:<slug>`, stable for programs")
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ValidationProblem] | None = Field(None, description="For refused parameters")


class ComputationInfo(BaseModel):
    """A computation that can be asked for."""

    name: str
    version: str
    summary: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of the parameters")
    result: dict[str, Any] = Field(description="JSON Schema of the result")
    tasks_url: str = Field(description="Where to POST parameters")
    batches_url: str = Field(description="Where to POST many sets of parameters")
    timeout: float = Field(description="Seconds that an attempt may take")
    max_attempts: int
    result_ttl: float = Field(description="Seconds that a result is kept")


class Computations(BaseModel):
    """All computations."""

    computations: list[ComputationInfo]


class BatchAccepted(BaseModel):
    """An element of a batch that is a task now."""

    task_id: str
    state: State
    outcome: Outcome


class BatchRefused(BaseModel):
    """An element of a batch that is no valid set of parameters."""

    errors: list[ValidationProblem]


class BatchAnswer(BaseModel):
    """What became of each set, in the order of the request."""

    items: list[BatchAccepted | BatchRefused]


class QueryRequest(BaseModel):
    """Which tasks to look at."""

    model_config = ConfigDict(extra="forbid")

    task_ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=ITEMS_MAX)]
    include_results: Annotated[
        bool, Field(description="Add `result` to each DONE task whose result is not a large one", strict=True)
    ] = False


class UnknownTask(BaseModel):
    """A task that has no record."""

    task_id: str
    state: None


class RecordWithResult(Record):
    """A record and, where it was asked for and is not large, the result."""

    result: Any = None


class QueryAnswer(BaseModel):
    """The tasks, in the order of the request."""

    tasks: list[RecordWithResult | UnknownTask]
    all_final: bool = Field(description="Whether every known task is DONE, FAILED or CANCELLED")


class TaskList(BaseModel):
    """Recent tasks, the newest first."""

    tasks: list[Record]
    next_cursor: str | None = Field(description="Ask with this `cursor` for the next page; null at the end")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]


def done_schema(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of a hit: the record of a task of `name`, with its result."""
    schema: dict[str, Any] = RecordWithResult.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    schema.pop("$defs", None)
    schema["title"] = f"{name} done"
    schema["description"] = f"Record and result of a `{name}` task that is DONE"
    schema["properties"]["result"] = result
    schema["required"] = [*schema["required"], "result"]
    return schema
