"""The reference for hits: a bare FastAPI endpoint with the same parameter model and no store.

python -m bench.bare PORT
"""

from __future__ import annotations

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field


class Parameters(BaseModel):
    """The parameters of `bench.computations.trivial`."""

    model_config = ConfigDict(extra="forbid")
    n: Annotated[int, Field(ge=0)]
    seed: int = 0


class Answer(BaseModel):
    """A small typed answer, as a service without a store would give."""

    result: int


app = FastAPI()


@app.post("/trivial")
async def trivial(parameters: Parameters) -> Answer:
    """Compute at once."""
    return Answer(result=parameters.n + parameters.seed)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False)
