"""What the API's tests ask for; nothing here is ever run."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.compute import computation


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    x: float = 0.0
    tags: list[str] = []


@computation(version="1", result_ttl=600)
def add(n: Annotated[int, Field(ge=0)], seed: int = 0) -> int:
    """Return n + seed.

    The second paragraph is for the description.
    """
    return n + seed


@computation(version="2")
def locate(points: list[Point], text: str = "") -> dict[str, float]:
    """Say where points are."""
    raise NotImplementedError
