"""What runs on a Dask worker: `run_bundle`, and the context that the worker process installs for it.

The dispatcher only names the function; API and scheduler import this package, so it pulls in nothing heavy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from services.compute import progress
from services.compute.runner.bundle import BundleRun
from services.compute.runner.context import RunnerContext
from services.compute.runner.deadlines import CELLS, Deadlines
from services.compute.runner.outcomes import Limits
from services.compute.store.types import Charge

if TYPE_CHECKING:
    from services.compute.registry import Computation

__all__ = ["CELLS", "Deadlines", "Limits", "RunnerContext", "install", "run_bundle"]

log = structlog.get_logger(__name__)

_context: RunnerContext | None = None


def install(context: RunnerContext | None) -> None:
    """Make `context` the one that this process's `run_bundle` works with."""
    global _context
    _context = context


def run_bundle(dispatch_key: str, computation: str, version: str, task_ids: Sequence[str]) -> None:
    """Run the tasks of one bundle, one after the other; returns when their outcomes are stored.

    A task that fails, is cancelled or runs out of time is an outcome, not an exception.

    Args:
        dispatch_key: the bundle's Dask key; only members that are still dispatched under it may start.
        computation: name of the members' computation.
        version: version of its code that they were submitted for.
        task_ids: the members.

    Raises:
        RuntimeError: this process is no Tidegate worker (`install` was not called).
    """
    context = _context
    if context is None:
        raise RuntimeError(
            f"bundle {dispatch_key} was sent to a process that is no Tidegate worker: "
            "start workers with `python -m services.worker`"
        )
    known = context.registry.get(computation)
    if known is None or known.version != version:
        held = "none" if known is None else known.version
        log.info("bundle of a version that is not held here", dispatch=dispatch_key, version=version, held=held)
        _send_back(context, dispatch_key, known, task_ids, delay_ms=random.randint(1000, 2000))  # noqa: S311
    elif context.draining:
        _send_back(context, dispatch_key, known, task_ids)
    else:
        _run(context, BundleRun(context, dispatch_key, known, task_ids))


def _run(context: RunnerContext, bundle: BundleRun) -> None:
    running = context.bundles.setdefault(bundle.dispatch, bundle)
    if running is not bundle:
        # The scheduler lost sight of this worker and sent the same key again; the first run goes on, and its
        # members would only be refused. The Dask task ends with it.
        running.done.wait(max(1.0, running.latest_deadline() - context.clock() + 60.0))
        return
    token = progress.install(bundle.report)
    try:
        bundle.run()
    finally:
        progress.restore(token)
        context.bundles.pop(bundle.dispatch, None)


def _send_back(
    context: RunnerContext, dispatch: str, known: Computation | None, task_ids: Sequence[str], delay_ms: int = 0
) -> None:
    context.give_back(dispatch, known, task_ids, Charge.FREE, delay_ms)
    context.outbox.flush()
