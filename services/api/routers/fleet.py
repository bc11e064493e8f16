"""What the autoscaler last saw, decided and did: its own document, as it wrote it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.api.context import API, Context
from services.api.docs import problems
from services.api.render import NO_STORE
from services.api.responses import Answer

EMPTY = b'{"updated_at":null,"observed":null,"decided":null,"done":null,"history":[]}'
"""The honest answer where no autoscaler ever wrote."""


class Fleet(BaseModel):
    """The fleet in the autoscaler's eyes; members are null where no autoscaler runs."""

    model_config = ConfigDict(extra="allow")

    updated_at: str | None = Field(description="When it was written, RFC 3339")
    observed: Any = Field(description="What it saw")
    decided: Any = Field(description="What it wants")
    done: Any = Field(description="What it did")
    history: list[Any] = Field(description="Points for a chart, the oldest first")


def install(app: FastAPI, context: Context) -> None:
    """Add the route."""

    @app.get(
        f"{API}/fleet",
        tags=["operations"],
        summary="The fleet of workers",
        operation_id="get_fleet",
        response_model=Fleet,
        responses=problems(503),
    )
    async def get_fleet() -> Response:
        """What the autoscaler last saw, decided and did, and a history."""
        return Answer(await context.store.fleet() or EMPTY, 200, [NO_STORE])
