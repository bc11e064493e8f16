"""A provider plugin over tables of kinds: what the engine asks for, in the order in which it asks.

Inputs are held against the wheels' types at Check, as to the provider's own schema. A name that is missing is made up
there. Read takes what AWS says, but for what moto does not keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import grpc
from botocore.exceptions import ClientError
from google.protobuf import empty_pb2
from pulumi.output import Unknown
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc as pb_grpc

from tests.infra import wheel_types
from tests.infra.engine.kind import Kind, Props, Refused, gone, like
from tests.infra.graph import Options, Recorded
from tests.infra.wire import UNKNOWN

LOOK_S = 0.5
VERSIONS = {"aws": "7.51.1", "random": "4.21.4", "tls": "5.6.2", "docker-build": "0.0.22"}


def pack(props: Mapping[str, Any]) -> Any:
    """Properties as the wire has them."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)  # serialising expects a current one
        return loop.run_until_complete(rpc.serialize_properties(dict(props), {}))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def unpack(struct: Any) -> Props:
    """The other way; what a preview does not know is `rpc.UNKNOWN`."""
    return dict(rpc.deserialize_properties(struct, keep_unknowns=True) or {})


def token_of(urn: str) -> str:
    """Type of a resource."""
    return urn.split("::")[2].rpartition("$")[2]


def known_to_checks(value: Any) -> Any:
    """Values as the checks of recorded programs have them."""
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: known_to_checks(inner) for key, inner in value.items()}
    return [known_to_checks(item) for item in value] if isinstance(value, list) else value


class Plugin(pb_grpc.ResourceProviderServicer):
    """Serves the engine.

    Args:
        package: name of the provider.
        kinds: by type token.
        functions: what is invoked, by token.
    """

    def __init__(
        self, package: str, kinds: Mapping[str, Kind], functions: Mapping[str, Callable[[Props], Props]]
    ) -> None:
        self._package = package
        self._kinds = kinds
        self._functions = functions

    # ---- the provider itself ----

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ProviderHandshakeResponse(accept_secrets=False, accept_resources=True, accept_outputs=False)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        return plugin_pb2.PluginInfo(version=VERSIONS[self._package])

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ConfigureResponse(acceptSecrets=False, supportsPreview=True, acceptResources=True)

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.InvokeResponse(**{"return": pack(self._functions[request.tok](unpack(request.args)))})

    # ---- resources ----

    def _kind(self, urn: str) -> Kind:
        token = token_of(urn)
        if token not in self._kinds:
            raise LookupError(f"no kind for {token}: add it to the tables in tests/infra/engine")
        return self._kinds[token]

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, news, olds = self._kind(request.urn), unpack(request.news), unpack(request.olds)
        problems = wheel_types.problems(recorded(request.urn, known_to_checks(news)))
        if kind.name is not None and kind.name not in news:
            news[kind.name] = olds.get(kind.name) or made_up(request, kind)
        try:
            name = news.get(kind.name or "")
            if isinstance(name, str) and len(name) > kind.longest:
                raise Refused(f"{kind.name} is {name!r}, of {len(name)} characters, and {kind.longest} are allowed")
            kind.refuse({key: value for key, value in news.items() if not isinstance(value, Unknown)})
        except Refused as refusal:
            problems.append(str(refusal))
        failures = [pb.CheckFailure(property="", reason=problem) for problem in problems]
        return pb.CheckResponse(inputs=pack(news), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, olds, news = self._kind(request.urn), unpack(request.old_inputs), unpack(request.news)
        ignored = set(request.ignoreChanges)
        changed = sorted(key for key in {*olds, *news} - ignored if olds.get(key) != news.get(key))
        some = pb.DiffResponse.DIFF_SOME if changed else pb.DiffResponse.DIFF_NONE
        replaces = [key for key in changed if key in kind.replaces]
        return pb.DiffResponse(changes=some, diffs=changed, replaces=replaces)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        inputs = unpack(request.properties)
        if request.preview:
            return pb.CreateResponse(properties=pack(inputs))
        kind = self._kind(request.urn)
        id_ = kind.create(inputs)
        return pb.CreateResponse(id=id_, properties=pack(self._state(kind, id_, inputs)))

    def Read(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, inputs = self._kind(request.urn), unpack(request.inputs)
        found = self._found(kind, request.id, unpack(request.properties))
        if found is None:
            return pb.ReadResponse(id="")
        seen = {
            key: value if key in kind.dropped else like(value, found[key])
            for key, value in inputs.items()
            if key in kind.dropped or key in found
        }
        return pb.ReadResponse(id=request.id, inputs=pack(seen), properties=pack({**found, **seen}))

    def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind, news, olds = self._kind(request.urn), unpack(request.news), unpack(request.olds)
        old_inputs = unpack(request.old_inputs)
        for key in request.ignoreChanges:
            news.pop(key, None)
            if key in old_inputs:
                news[key] = old_inputs[key]
        if request.preview:  # what an update leaves alone stays known, or all that depends on it would look changed
            kept = {key: value for key, value in olds.items() if key not in {*old_inputs, *kind.renewed}}
            return pb.UpdateResponse(properties=pack({**kept, **news, **dict.fromkeys(kind.renewed, rpc.UNKNOWN)}))
        kind.update(request.id, old_inputs, news)
        return pb.UpdateResponse(properties=pack(self._state(kind, request.id, news)))

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            self._kind(request.urn).delete(request.id, unpack(request.properties))
        except ClientError as error:
            if not gone(error):
                raise
        return empty_pb2.Empty()

    @staticmethod
    def _found(kind: Kind, id_: str, known: Props) -> Mapping[str, Any] | None:
        try:
            return kind.read(id_, known)
        except ClientError as error:
            if gone(error):
                return None
            raise

    def _state(self, kind: Kind, id_: str, inputs: Props) -> Props:
        found = self._found(kind, id_, inputs)
        if found is None:
            raise LookupError(f"{id_} was made and is not there")
        lost = sorted(
            key for key, value in inputs.items() if key not in kind.dropped and like(value, found.get(key)) != value
        )
        if lost:
            was = {key: (inputs[key], found.get(key)) for key in lost}
            raise LookupError(f"{id_} has other properties than it was made with (given, found): {was}")
        return {**found, **inputs}


def recorded(urn: str, inputs: Mapping[str, Any]) -> Recorded:
    """A resource as the checks of recorded programs have it."""
    return Recorded(
        type=token_of(urn), name=urn.split("::")[-1], urn=urn, inputs=inputs, secrets=frozenset(), outputs={}, id="",
        parent="", depends_on=frozenset(), property_dependencies={}, provider="", providers={}, custom=True,
        remote=False, options=Options(),
    )  # fmt: skip


def made_up(request: Any, kind: Kind) -> str:
    """A name of the resource's own, the same for the same seed."""
    name = f"{request.urn.rsplit('::', 1)[1]}-{request.randomSeed.hex()[:7]}"
    return name.lower() if kind.lower else name


def guarded(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Tell the engine of what went wrong in one line; the whole goes to the plugin's standard error."""

    def call(request: Any, context: Any) -> Any:
        try:
            return method(request, context)
        except Exception as error:
            traceback.print_exc()
            where = getattr(request, "urn", "") or getattr(request, "tok", "")
            text = re.sub(r"\s+", " ", str(error))[:2000]
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {text} ({where})")

    return call


def follow(parent: int) -> None:
    """End with the engine, also with one that is killed and has ended nobody: a server has no other reason to."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(0)


def main(package: str) -> None:
    """Be the plugin of a package until the engine has gone."""
    parent = os.getppid()
    host, _sep, port = sys.argv[1].rpartition(":")
    socket.create_connection((host, int(port))).close()  # so it is there, and the parent
    threading.Thread(target=follow, args=(parent,), daemon=True).start()
    if package == "awsx":
        from tests.infra.engine.awsx import serve

        serve(sys.argv[1:])
        return
    from tests.infra.engine.tables import FUNCTIONS, KINDS

    plugin = Plugin(package, {k: v for k, v in KINDS.items() if k.startswith(f"{package}:")}, FUNCTIONS)
    for name in ("Check", "Diff", "Create", "Read", "Update", "Delete", "Invoke"):
        setattr(plugin, name, guarded(getattr(plugin, name)))
    server = grpc.server(futures.ThreadPoolExecutor(8))
    pb_grpc.add_ResourceProviderServicer_to_server(plugin, server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    with contextlib.suppress(KeyboardInterrupt):  # so the engine ends plugins
        server.wait_for_termination()
