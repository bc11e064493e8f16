"""What the schema test asks for: strict models, so that whatever the schema forbids is refused, never converted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.compute import computation


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    x: float = 0.0
    tags: list[str] = []


class Survey(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    points: Annotated[list[Point], Field(min_length=1, max_length=5)]
    mode: Literal["fast", "exact"] = "fast"
    weight: Annotated[float, Field(ge=0, le=100)] = 3.0  # no integer: 3.0 is one to JSON Schema, and none to Pydantic
    label: str | None = None


@computation(version="1")
def survey(survey: Survey) -> dict[str, float]:
    """Say where points are."""
    raise NotImplementedError


@computation(version="1")
def negate(value: Annotated[bool, Field(strict=True)]) -> bool:
    """Return the opposite."""
    return not value
