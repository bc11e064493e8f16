"""The list of computations, with the JSON Schemas of their parameters and results."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import Response

from services.api.context import API, Context
from services.api.responses import Answer
from services.api.schemas import ComputationInfo, Computations


def install(app: FastAPI, context: Context) -> None:
    """Add the route; its answer is made once."""
    listed = Computations(
        computations=[
            ComputationInfo(
                name=each.name,
                version=each.version,
                summary=each.summary,
                description=each.description,
                parameters=each.parameters_schema(),
                result=each.result_schema(),
                tasks_url=f"{context.root}{API}/computations/{each.name}/tasks",
                batches_url=f"{context.root}{API}/computations/{each.name}/batches",
                timeout=each.timeout,
                max_attempts=each.max_attempts,
                result_ttl=each.result_ttl,
            )
            for each in context.registry.values()
        ]
    )
    body = listed.model_dump_json().encode()

    @app.get(
        f"{API}/computations",
        tags=["computations"],
        summary="All computations",
        operation_id="list_computations",
        response_model=Computations,
    )
    async def list_computations() -> Response:
        """Names, descriptions, and the schemas of parameters and results."""
        return Answer(body)
