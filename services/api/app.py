"""The FastAPI app: `create_app` builds it from settings and collaborators, its lifespan runs what goes on beside it.

Redis need not be there at start: the app answers 503 until it is, and recovers by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from services.api.access_log import AccessLog
from services.api.context import API, Context
from services.api.cors import Cors
from services.api.docs import Components
from services.api.embedded import Around, Embedded, Window
from services.api.emitted import EMITTED
from services.api.errors import install_handlers
from services.api.metrics import Metrics, TaskLatencies
from services.api.middleware import Gate
from services.api.routers import batches, computations, events, fleet, health, query, results, submit, tasks
from services.api.settings import ApiSettings
from services.api.waiters import ChangeHub
from services.compute.emf import Emitter
from services.compute.registry import Registry, load_registry
from services.compute.store import AsyncStore
from services.objects import AsyncObjects, ObjectStore, open_object_store

_DESCRIPTION = """
Asynchronous computations: POST parameters, get a `task_id` at once, fetch the result when it is there.

Equal parameters are one task: nothing is computed twice. Errors are problem documents (RFC 9457), load beyond the
bounds is answered with 429 or 503 and `Retry-After`, and repeating a request is always safe.
"""
_TAGS = [
    {"name": "computations", "description": "What can be computed, and asking for it"},
    {"name": "tasks", "description": "What was asked for"},
    {"name": "operations", "description": "The service itself"},
]


def create_app(
    settings: ApiSettings | None = None,
    registry: Registry | None = None,
    store: AsyncStore | None = None,
    objects: ObjectStore | None = None,
) -> FastAPI:
    """Build the app.

    Args:
        settings: by default from the environment.
        registry: by default what `COMPUTE_MODULES` names.
        store: by default the Redis of the settings; a given one is the caller's to close.
        objects: by default the `OBJECT_STORE` of the settings, or none.

    Raises:
        RegistrationError: a computation cannot be served as written.
    """
    settings = settings or ApiSettings()
    if objects is None and settings.object_store:
        objects = open_object_store(settings.object_store)
    context = _context(settings, registry, store, objects)
    window = Window() if settings.metrics_emf else None
    app = FastAPI(
        title="Tidegate",
        version=_version(),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url=f"{API}/openapi.json",
        docs_url=f"{API}/docs",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(context, window, close_store=store is None, sweep=objects.sweep if objects else None),
    )
    app.state.context = context
    _routes(app, context)
    install_handlers(app)
    access_log = AccessLog(settings)
    app.add_middleware(
        Gate,
        metrics=context.metrics,
        access_log=access_log,
        requests_max=settings.requests_max,
        root_path=settings.root_path,
        around=partial(Cors, origins=settings.origins) if settings.origins else None,
        window=window,
    )
    return app


def _context(
    settings: ApiSettings, registry: Registry | None, store: AsyncStore | None, objects: ObjectStore | None
) -> Context:
    metrics = Metrics()
    latencies = TaskLatencies(metrics)
    store = store or AsyncStore.from_settings(settings)
    return Context(
        settings=settings,
        registry=registry if registry is not None else load_registry(settings.compute_modules),
        store=store,
        objects=None if objects is None else AsyncObjects(objects),
        metrics=metrics,
        latencies=latencies,
        hub=ChangeHub(store, latencies),
        batches=asyncio.Semaphore(settings.batches_max),
    )


def _routes(app: FastAPI, context: Context) -> None:
    """Add all routes, the busiest first: they are tried in order."""
    documents = list(app.router.routes)
    app.router.routes.clear()
    components = Components()
    submit.install(app, context, components)
    query.install(app, context, components)
    results.install(app, context)
    tasks.install(app, context)
    events.install(app, context)
    batches.install(app, context)
    computations.install(app, context)
    submit.install_unknown(app, context)
    fleet.install(app, context)
    health.install(app, context)
    app.router.routes.extend(documents)
    components.install(app, context.root)


def _lifespan(
    context: Context, window: Window | None, *, close_store: bool, sweep: Callable[[], int] | None
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        around = None
        async with contextlib.AsyncExitStack() as stack:
            if close_store:
                stack.push_async_callback(context.store.aclose)
            if context.settings.dispatch:
                from services.api.background import background  # brings `distributed`, which no test of HTTP needs

                running = await stack.enter_async_context(
                    background(context.store, context.registry, context.settings, context.metrics, sweep)
                )
                context.wake = running.wake
                around = Around(running.connected, running.reconciles)
            if window is not None:
                embedded = Embedded(Emitter(context.settings, EMITTED), context.store, window, around)
                stack.push_async_callback(_cancel, asyncio.create_task(embedded.run(), name="metrics"))
            listening = asyncio.create_task(context.hub.run(), name="changes")
            stack.push_async_callback(_cancel, listening)
            stack.callback(context.hub.close)
            yield

    return lifespan


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _version() -> str:
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "0"
