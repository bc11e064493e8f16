"""The autoscaler's metrics and its liveness, served over HTTP by the standard library: it has no web framework."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from services.autoscaler.controller import Round
from services.autoscaler.report import observed

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_STATES: Final = ("starting", "joined", "busy", "retiring", "stopping")
_CAPACITIES: Final = ("spot", "on_demand")
_NAN: Final = float("nan")


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "tidegate_fleet_"
        self.desired = Gauge(name + "desired", "Machines that should be", registry=self.registry)
        self.machines = Gauge(name + "machines", "Machines that are, by state", ["state"], registry=self.registry)
        self.capacity = Gauge(name + "capacity", "Machines that are, by capacity", ["capacity"], registry=self.registry)
        self.launched = Counter(name + "launched", "Machines asked for", ["capacity"], registry=self.registry)
        self.retired = Counter(name + "retired", "Machines told to take nothing new", registry=self.registry)
        self.stopped = Counter(name + "stopped", "Machines told to stop", registry=self.registry)
        self.ended = Counter(name + "ended", "Machines that are gone", ["ending"], registry=self.registry)
        self.failures = Counter(name + "failures", "Calls that did not work", registry=self.registry)
        self.rounds = Counter(name + "rounds", "Rounds, by outcome", ["outcome"], registry=self.registry)
        self.seconds = Histogram(name + "round_seconds", "What a round takes", registry=self.registry)
        self.holder = Gauge(name + "holder", "1 while this process holds the lease", registry=self.registry)

    def standing_by(self) -> None:
        """Another process acts: what we last saw is not told any more."""
        self.rounds.labels("standby").inc()
        self.holder.set(0)
        self.desired.set(_NAN)
        self.machines.clear()
        self.capacity.clear()

    def failed(self) -> None:
        """A round ended in an exception."""
        self.rounds.labels("failed").inc()

    def record(self, round_: Round) -> None:
        """Take in a round."""
        self.holder.set(1)
        desired = round_.decision.desired
        self.rounds.labels("held" if desired is None else "decided").inc()
        self.desired.set(_NAN if desired is None else desired)
        seen = observed(round_.snapshot)
        for state in _STATES:
            self.machines.labels(state).set(seen.get(state, _NAN))
        for capacity in _CAPACITIES:
            self.capacity.labels(capacity).set(seen.get(capacity, _NAN))
        for capacity, ids in round_.done.launched.items():
            self.launched.labels(capacity.value).inc(len(ids))
        self.retired.inc(len(round_.done.retired))
        self.stopped.inc(len(round_.done.stopped))
        self.failures.inc(len(round_.done.failures))
        for each in round_.snapshot.ended if round_.snapshot else ():
            self.ended.labels(each.ending.value).inc()


class HttpServer:
    """Serves `/metrics` and `/livez` in a thread.

    Args:
        host: address to listen on.
        port: port; 0 takes a free one (the setting 0 means no server).
        metrics: what `/metrics` tells.
        alive: what `/livez` answers 200 for, else 503.
    """

    def __init__(self, host: str, port: int, metrics: Metrics, alive: Callable[[], bool]) -> None:
        exposition = make_wsgi_app(metrics.registry)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO")
            if path == "/metrics":
                body: Iterable[bytes] = exposition(environ, start_response)
                return body
            known = path == "/livez"
            good = known and alive()
            status = "200 OK" if good else "503 Service Unavailable" if known else "404 Not Found"
            start_response(status, [("Content-Type", "application/json")])
            return [b'{"status":"ok"}' if good else b'{"status":"no round for a while"}' if known else b"{}"]

        self._server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(WSGIServer):
    """Looks up no name for its address, which may take long where there is no DNS."""

    def server_bind(self) -> None:
        """Bind, and name itself."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "autoscaler", self.server_address[1]
        self.setup_environ()


class _Quiet(WSGIRequestHandler):
    """Logs no line for each probe, and waits for no client for ever."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
