"""POST of one task, a typed route for each computation: the hot path, and all that is on it.

A hit costs: headers read once, body validated and identified, one gathered call of Redis, bytes joined.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from services.api.body import parameter_errors, read_body
from services.api.context import API, Context, about
from services.api.docs import NO_CACHE, PREFER, Components, header, json_body, problems
from services.api.errors import ErrorList, Problem, invalid, queue_full
from services.api.headers import read_wishes
from services.api.render import Renderer
from services.api.routers.raw import Handler, raw_route
from services.api.schemas import done_schema
from services.compute.models import FINAL_STATES, Outcome, Priority, Record
from services.compute.registry import Computation
from services.compute.store.types import Submission


def install(app: FastAPI, context: Context, components: Components) -> None:
    """Add the typed routes."""
    for computation in context.registry.values():
        _add(app, context, components, computation)


def install_unknown(app: FastAPI, context: Context) -> None:
    """Add the routes of all other names: they answer which names there are."""

    async def unknown(name: str) -> Response:
        known = sorted(context.registry)
        detail = f"no computation {name[:100]!r}: there are {', '.join(known) or 'none'}"
        raise Problem(404, "unknown-computation", detail, computations=known)

    for end in ("tasks", "batches"):
        app.add_api_route(
            f"{API}/computations/{{name}}/{end}", unknown, methods=["POST"], include_in_schema=False, name="unknown"
        )


def _add(app: FastAPI, context: Context, components: Components, computation: Computation) -> None:
    parameters = components.add(f"{computation.name}.parameters", computation.parameters_schema())
    result = components.add(f"{computation.name}.result", computation.result_schema())
    done = components.add(f"{computation.name}.done", done_schema(computation.name, result))
    applied = header("`wait=N`, where a wait was asked for")

    async def submit() -> None:
        """Only documented; see `raw_route`."""

    app.router.add_api_route(
        f"{API}/computations/{computation.name}/tasks",
        submit,
        methods=["POST"],
        name=f"submit_{computation.name}",
        operation_id=f"submit_{computation.name}",
        tags=["computations"],
        summary=computation.summary or f"Compute {computation.name}",
        description=computation.description,
        status_code=202,
        response_model=Record,
        response_description="Accepted, or under way already: the record",
        responses={
            200: {
                "description": "Computed before: the record and its result",
                "content": {"application/json": {"schema": done}},
                "headers": {"Preference-Applied": applied},
            },
            202: {
                "headers": {
                    "Location": header("Path of the task"),
                    "Retry-After": header("Seconds to wait before asking again", "integer"),
                    "Preference-Applied": applied,
                }
            },
            303: {
                "description": "Computed before, and the result is a large one",
                "model": Record,
                "headers": {"Location": header("Path of the result")},
            },
            **problems(408, 413, 415, 422, 429, 503),
        },
        openapi_extra={"requestBody": json_body(parameters), "parameters": [PREFER, NO_CACHE]},
        route_class_override=raw_route(_handler(context, computation)),
    )


def _handler(context: Context, computation: Computation) -> Handler:
    store, settings, renderer = context.store, context.settings, Renderer(context.root)
    limit, seconds, queue_max = settings.body_max_bytes, settings.body_timeout, settings.queue_max
    version = computation.version
    counted = {
        outcome: context.metrics.submissions.labels(computation.name, outcome)
        for outcome in (*Outcome, "full", "invalid")
    }

    async def submit(request: Request) -> Response:
        scope = request.scope
        wishes = read_wishes(scope["headers"])
        body = await read_body(scope, request.receive, limit, seconds)
        parameters = parameter_errors(computation, body, ("body",))
        if isinstance(parameters, ErrorList):
            counted["invalid"].inc()
            raise invalid(parameters)
        task_id = computation.identify(parameters)
        about(scope, task_id)
        submission = Submission(task_id, version, computation.dump(parameters))
        (met,) = await store.submit(
            [submission], priority=Priority.INTERACTIVE, force=wishes.force, queue_max=queue_max
        )
        outcome, record = met.outcome, met.record
        if outcome is None or record is None:
            counted["full"].inc()
            raise queue_full(queue_max)
        counted[outcome].inc()
        if outcome is not Outcome.HIT:
            if outcome is Outcome.CREATED:
                context.latencies.submitted((task_id,))
                context.wake()
            if wishes.wait and record.state not in FINAL_STATES:
                now = await context.hub.final_record(task_id, wishes.wait, with_results=True)
                record = now or record
        return renderer.submitted(record, wishes.applied)

    return submit
