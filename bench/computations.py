"""The computation that the bench runs: as good as nothing, so that what is measured is the way to it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.compute import computation


@computation(version="1")
def trivial(n: Annotated[int, Field(ge=0)], seed: int = 0) -> int:
    """Return n + seed."""
    return n + seed
