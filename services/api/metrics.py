"""All Prometheus metrics of the API process, in a registry of their own so that two apps can share a process.

Recording is a method call or two on children bound beforehand: the hot path pays about a microsecond each.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TASK_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_BUNDLE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_FOLLOWED_MAX = 100_000
_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})


class Metrics:
    """What the API, the dispatcher and the reconciler count.

    Attributes:
        requests: requests answered, by route, method and status.
        request_seconds: seconds from a request's first to its answer's last byte, by route.
        requests_active: requests under way.
        streams: event streams open.
        submissions: submissions by computation and outcome (created, joined, hit, full, invalid).
        task_seconds: seconds from a submission to its task's final state, by computation, seen by this process.
        queue_depth: tasks that wait, by queue (`interactive`, `batch`, `delayed`); NaN while Redis is away.
        in_flight: tasks that were handed to Dask and are not final; NaN while Redis is away.
        store_up: 1 when Redis answered the last scrape.
        bundle_size: tasks in each bundle that was dispatched.
        dispatched: tasks handed to Dask, by computation.
        requeued: tasks that the reconciler put back, by reason.
        failed: tasks that the reconciler or dispatcher failed, by reason.
        scheduler_up: 1 while this process is connected to the Dask scheduler.
        loop_errors: rounds of a background loop that ended in an exception, by loop.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tidegate_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"tidegate_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"tidegate_{name}", text, labels, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests answered", "route", "method", "status")
        self.request_seconds = histogram("request_seconds", "Seconds to answer", _REQUEST_BUCKETS, "route")
        self.requests_active = gauge("requests_active", "Requests under way")
        self.streams = gauge("event_streams", "Event streams open")
        self.submissions = counter("submissions", "Submissions by outcome", "computation", "outcome")
        self.task_seconds = histogram(
            "task_seconds", "Seconds from submission to final state", _TASK_BUCKETS, "computation"
        )
        self.queue_depth = gauge("queue_depth", "Tasks that wait in Redis", "queue")
        self.in_flight = gauge("in_flight", "Tasks handed to Dask and not final")
        self.store_up = gauge("store_up", "1 when Redis answered the last scrape")
        self.bundle_size = histogram("bundle_size", "Tasks in a dispatched bundle", _BUNDLE_BUCKETS)
        self.dispatched = counter("dispatched", "Tasks handed to Dask", "computation")
        self.requeued = counter("requeued", "Tasks put back by the reconciler", "reason")
        self.failed = counter("failed", "Tasks failed by dispatcher or reconciler", "reason")
        self.scheduler_up = gauge("scheduler_up", "1 while connected to the Dask scheduler")
        self.loop_errors = counter("loop_errors", "Rounds of a background loop that ended in an exception", "loop")
        self._request_children: dict[tuple[str, str, int], Counter] = {}
        self._route_children: dict[str, Histogram] = {}

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is a path template, never a path."""
        key = (route, method, status)
        child = self._request_children.get(key)
        if child is None:
            known = method if method in _METHODS else "other"
            child = self.requests.labels(route, known, str(status))
            if known == method:
                self._request_children[key] = child
        child.inc()
        histogram = self._route_children.get(route)
        if histogram is None:
            histogram = self._route_children[route] = self.request_seconds.labels(route)
        histogram.observe(seconds)

    def render(self) -> bytes:
        """The text exposition of all metrics."""
        return generate_latest(self.registry)


class TaskLatencies:
    """Times from submission to final state of the tasks that this process created.

    Only the process that created a task observes it, so that replicas can be summed. Bounded: beyond the maximum the
    oldest are no longer followed.

    Args:
        metrics: where the seconds go.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # The oldest of a plain dict is found behind the places of all that went before it, up to 0.1 ms for each.
        self._since: OrderedDict[str, float] = OrderedDict()

    def submitted(self, task_ids: Iterable[str]) -> None:
        """Follow these new tasks."""
        now = time.monotonic()
        since = self._since
        for task_id in task_ids:
            since[task_id] = now
        while len(since) > _FOLLOWED_MAX:
            since.popitem(last=False)

    def final(self, task_id: str) -> None:
        """A task has ended; nothing happens for one that is not followed."""
        since = self._since.pop(task_id, None)
        if since is not None:
            self._metrics.task_seconds.labels(task_id.rpartition("-")[0]).observe(time.monotonic() - since)
