"""POST of up to 10,000 sets of parameters: an id or the reasons for each, in order; all are taken or none is.

Everything happens in slices: a batch of 10,000 costs some hundred milliseconds, of which no other request waits for
more than a few.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from services.api.body import parameter_errors, read_body, split_batch
from services.api.context import API, Context
from services.api.docs import NO_CACHE, json_body, problems
from services.api.errors import ErrorList, Problem, overloaded, queue_full
from services.api.headers import read_wishes
from services.api.render import NO_STORE
from services.api.responses import Answer
from services.api.routers.raw import Handler, raw_route
from services.api.schemas import ITEMS_MAX, BatchAnswer
from services.api.slices import Slices
from services.compute.models import Outcome, Priority
from services.compute.registry import Computation
from services.compute.store.commands import CHUNK
from services.compute.store.types import Submission, Submitted

_ERRORS_PER_ITEM = 10
Item = Submission | ErrorList


def install(app: FastAPI, context: Context) -> None:
    """Add the typed routes."""
    for computation in context.registry.values():
        _add(app, context, computation)


def _add(app: FastAPI, context: Context, computation: Computation) -> None:
    async def batch() -> None:
        """Only documented; see `raw_route`."""

    app.router.add_api_route(
        f"{API}/computations/{computation.name}/batches",
        batch,
        methods=["POST"],
        name=f"batch_{computation.name}",
        operation_id=f"batch_{computation.name}",
        tags=["computations"],
        summary=f"Many `{computation.name}` tasks at once",
        description=(
            f"Takes up to {ITEMS_MAX:,} sets of parameters. Each set becomes a task or is answered with its validation "
            "errors; the others are accepted nevertheless. Batches never delay single tasks."
        ),
        status_code=202,
        response_model=BatchAnswer,
        response_description="What became of each set, in order",
        responses=problems(408, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": json_body(_schema(computation)), "parameters": [NO_CACHE]},
        route_class_override=raw_route(_handler(context, computation)),
    )


def _schema(computation: Computation) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{computation.name}.parameters"}
    sets = {
        "type": "array",
        "minItems": 1,
        "maxItems": ITEMS_MAX,
        # An element that is something else is no error of the batch: its place in the answer says what is wrong.
        "items": {"anyOf": [reference, {"description": "Refused, with the reasons in its place of the answer"}]},
    }
    return {
        "type": "object",
        "properties": {"parameters": sets},
        "required": ["parameters"],
        "additionalProperties": False,
        "title": f"{computation.name} batch",
    }


def _handler(context: Context, computation: Computation) -> Handler:
    settings, submissions = context.settings, context.metrics.submissions

    async def batch(request: Request) -> Response:
        wishes = read_wishes(request.scope["headers"])
        async with _turn(context):
            body = await read_body(request.scope, request.receive, settings.body_max_bytes, settings.body_timeout)
            items = await _validate(computation, body)
            try:
                met = await _submit(context, items, wishes.force)
            except Problem as refusal:
                if refusal.status == 429:  # all are refused, not only those that found no room
                    full = sum(isinstance(item, Submission) for item in items)
                    submissions.labels(computation.name, "full").inc(full)
                raise
        answer, outcomes = await _render(items, met)
        for outcome, count in outcomes.items():
            submissions.labels(computation.name, outcome).inc(count)
        return Answer(answer, 202, [NO_STORE])

    return batch


@asynccontextmanager
async def _turn(context: Context) -> AsyncIterator[None]:
    """Wait for a place among the batches worked on; 503 when none comes free in time."""
    try:
        async with asyncio.timeout(context.settings.batch_wait):
            await context.batches.acquire()
    except TimeoutError:
        raise overloaded("as many batches as allowed are being worked on (BATCHES_MAX)") from None
    try:
        yield
    finally:
        context.batches.release()


async def _validate(computation: Computation, body: bytes) -> list[Item]:
    items: list[Item] = []
    slices = Slices()
    for number, element in enumerate(split_batch(body, ITEMS_MAX)):
        parameters = parameter_errors(computation, element, ("body", "parameters", number))
        if isinstance(parameters, ErrorList):
            items.append(ErrorList(parameters[:_ERRORS_PER_ITEM]))
        else:
            items.append(
                Submission(computation.identify(parameters), computation.version, computation.dump(parameters))
            )
        if slices.due:
            await slices.rest()
    return items


async def _submit(context: Context, items: list[Item], force: bool) -> dict[str, Submitted]:
    """Submit each task once; equal sets later in the batch join the first."""
    queue_max = context.settings.queue_max
    unique = list({item.task_id: item for item in items if isinstance(item, Submission)}.values())
    if not unique:
        return {}
    depth = await context.store.depth()
    if depth.waiting + len(unique) > queue_max:  # else all have room, however many of them are known already
        admission = await context.store.admit([item.task_id for item in unique], force=force)
        if not admission.fits(queue_max):
            raise queue_full(queue_max)
    met: dict[str, Submitted] = {}
    for begin in range(0, len(unique), CHUNK):
        answers = await context.store.submit(
            unique[begin : begin + CHUNK], priority=Priority.BATCH, force=force, queue_max=None, records=False
        )
        created = [each.task_id for each in answers if each.outcome is Outcome.CREATED]
        if created:
            context.latencies.submitted(created)
            context.wake()
        met.update((each.task_id, each) for each in answers)
        if any(each.full for each in answers):  # Redis is full of what may not be evicted; repeating is safe
            raise queue_full(queue_max)
        await asyncio.sleep(0)
    return met


async def _render(items: list[Item], met: dict[str, Submitted]) -> tuple[bytes, Counter[str]]:
    """The answer, and how often it says each outcome."""
    parts: list[str] = []
    outcomes: Counter[str] = Counter()
    seen: set[str] = set()
    slices = Slices()
    for item in items:
        if isinstance(item, Submission):
            each = met[item.task_id]
            outcome = Outcome.JOINED if item.task_id in seen and each.outcome is Outcome.CREATED else each.outcome
            seen.add(item.task_id)
            outcomes[str(outcome)] += 1
            parts.append(f'{{"task_id":"{item.task_id}","state":"{each.state}","outcome":"{outcome}"}}')
        else:
            outcomes["invalid"] += 1
            parts.append(json.dumps({"errors": item}, separators=(",", ":")))
        if slices.due:
            await slices.rest()
    return f'{{"items":[{",".join(parts)}]}}'.encode(), outcomes
