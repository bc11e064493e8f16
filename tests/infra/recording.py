"""Runs a Pulumi program in this process against an engine that makes nothing and writes everything down.

Each run has its own context and event loop, so that hundreds of runs in one process know nothing of each other. The
program runs as Pulumi's own language host would run it, and the run ends when every registration has been answered and
every output has its value; an exception of the program comes out as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from dataclasses import replace
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, Settings, configure, run_in_stack, set_all_config
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto import engine_pb2, resource_pb2

from tests.infra import mock_awsx, mock_invokes, mock_outputs, wire
from tests.infra.graph import Graph, Invoke, Message, Options, Recorded
from tests.infra.mock_invokes import Answer
from tests.infra.mock_outputs import Outputs
from tests.infra.wire import UNKNOWN, Reference, Secret

__all__ = ["UNKNOWN", "Graph", "Recorded", "Reference", "Secret", "record"]

_STACK = "pulumi:pulumi:Stack"
_SEVERITIES = {engine_pb2.INFO: "info", engine_pb2.WARNING: "warning", engine_pb2.ERROR: "error"}


def record(
    program: Callable[[], None],
    *,
    config: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    stack: str = "dev",
    project: str = "tidegate",
    preview: bool = False,
    outputs: Mapping[str, Outputs] | None = None,
    invokes: Mapping[str, Answer] | None = None,
) -> Graph:
    """Run a program and say what it registered.

    Args:
        program: called with no arguments, as the body of `__main__` would run.
        config: of the stack; a key without a namespace is the project's.
        secrets: values of the stack's config that are secret.
        stack: name of the stack.
        project: name of the project.
        preview: whether it is a preview, in which ids and what only AWS knows are unknown.
        outputs: what mocks answer beyond or instead of the tables here, by type token or class name.
        invokes: what functions of providers answer beyond or instead of the tables here, by token.

    Raises:
        RuntimeError: called where an event loop runs.
        Exception: whatever the program raised.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("record() runs an event loop of its own: call it from a test that is no coroutine")
    monitor = _Monitor(preview, outputs or {}, invokes or {})
    context = Context()

    async def run() -> None:
        values = {**(config or {}), **(secrets or {})}
        full = {key if ":" in key else f"{project}:{key}": value for key, value in values.items()}
        set_all_config(full, [key if ":" in key else f"{project}:{key}" for key in secrets or {}])
        configure(
            Settings(
                project, stack, monitor, monitor.engine, dry_run=preview, organization="tidegate", root_directory="."
            )
        )
        await run_in_stack(program)

    # A loop of its own that is not made the thread's: nothing is left behind for whoever comes next.
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(run(), context=context)
    return monitor.graph()


def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Inline())
    # The first failure is raised; what failed in its wake is nobody's to hear.
    loop.set_exception_handler(lambda _, __: None)
    return loop


class _Inline(ThreadPoolExecutor):
    """Calls at once and in order what the SDK would send to the engine from a thread: the same order in every run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function and give its result as a future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Unused(Mocks):
    """The base class wants mocks; what they would answer is answered before them."""

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise NotImplementedError(args.typ)


class _Engine:
    """Where messages to the operator go."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def Log(self, request: engine_pb2.LogRequest) -> empty_pb2.Empty:  # noqa: N802 - the engine's own name
        """Keep a message, unless it is for debugging."""
        if request.severity in _SEVERITIES:
            self.messages.append(Message(_SEVERITIES[request.severity], request.message, request.urn))
        return empty_pb2.Empty()


class _Monitor(MockMonitor):
    """The engine's side of registrations: Pulumi's own mock, which sees whole requests but keeps little of them."""

    def __init__(
        self, preview: bool, extra_outputs: Mapping[str, Outputs], extra_invokes: Mapping[str, Answer]
    ) -> None:
        super().__init__(_Unused())
        self.engine = _Engine()
        self._preview = preview
        self._extra_outputs = extra_outputs
        self._extra_invokes = extra_invokes
        self._recorded: list[Recorded] = []
        self._invokes: list[Invoke] = []
        self._exports: tuple[Mapping[str, Any], frozenset[wire.Path]] = ({}, frozenset())

    def graph(self) -> Graph:
        """What has been recorded."""
        return Graph(self._recorded, self._invokes, *self._exports, self.engine.messages)

    # The engine's interface.

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        """Write a resource down and answer as its provider would."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == _STACK:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self._refuse(request, urn)
        resource = _recorded(request, urn)
        given = {} if self._preview else mock_outputs.of(resource, self._extra_outputs)
        resource_id = str(given.pop("id", "")) if resource.custom else ""
        self.resources.update(
            {
                part.urn: self.ResourceRegistration(part.urn, part.id, dict(part.state))
                for part in mock_awsx.parts(given)
            }
        )
        given = mock_awsx.as_references(given)
        self.resources[urn] = self.ResourceRegistration(urn, resource_id, {**resource.inputs, **given})
        self._recorded.append(replace(resource, id=resource_id, outputs=_plain(given)))
        answer = wire.write(_secret(given, request.additionalSecretOutputs))
        if resource.custom:  # providers give inputs back; a component's are no outputs
            for key, value in request.object.fields.items():
                if key not in answer.fields:
                    answer.fields[key].CopyFrom(value)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=resource_id, object=answer)

    def Invoke(self, request: resource_pb2.ResourceInvokeRequest) -> resource_pb2.ResourceInvokeResponse:  # noqa: N802
        """Answer a function of a provider."""
        arguments, _ = wire.read(request.args)
        if request.tok == "pulumi:pulumi:getResource":
            urn, resource_id, state = self.resources[arguments["urn"]]
            found = {"urn": urn, "id": resource_id, "state": state}
            return resource_pb2.ResourceInvokeResponse(**{"return": wire.write(found)})
        answer = mock_invokes.answer(request.tok, arguments, self._extra_invokes)
        self._invokes.append(Invoke(request.tok, arguments, answer))
        return resource_pb2.ResourceInvokeResponse(**{"return": wire.write(answer)})

    def ReadResource(self, request: resource_pb2.ReadResourceRequest) -> resource_pb2.ReadResourceResponse:  # noqa: N802
        """Refuse: what exists already is not known here."""
        raise NotImplementedError(
            f"{request.type} {request.name!r} reads an existing resource: ask a function of the provider instead"
        )

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        """Keep the stack's outputs; those of components are for readers of the state."""
        if request.urn.split("::")[2] == _STACK:
            self._exports = wire.read(request.outputs)
        return empty_pb2.Empty()

    def _refuse(self, request: resource_pb2.RegisterResourceRequest, urn: str) -> None:
        if request.transforms or self._stack_transforms:
            raise NotImplementedError(
                f"{request.type} {request.name!r} has transforms, which only a real engine runs: use transformations"
            )
        if urn in {resource.urn for resource in self._recorded}:
            raise ValueError(f"Duplicate resource URN {urn!r}: give the second one another name or parent")


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.value if isinstance(value, Secret) else value for key, value in given.items()}


def _secret(given: Mapping[str, Any], keys: Any) -> dict[str, Any]:
    return {
        key: Secret(value) if key in keys and not isinstance(value, Secret) else value for key, value in given.items()
    }


def _recorded(request: resource_pb2.RegisterResourceRequest, urn: str) -> Recorded:
    inputs, secrets = wire.read(request.object)
    data = {key: frozenset(found.urns) for key, found in request.propertyDependencies.items() if found.urns}
    return Recorded(
        type=request.type,
        name=request.name,
        urn=urn,
        inputs=inputs,
        secrets=secrets,
        outputs={},
        id="",
        parent=request.parent,
        depends_on=frozenset(request.dependencies).difference(*data.values()),
        property_dependencies=data,
        provider=request.provider,
        providers=dict(request.providers),
        custom=request.custom,
        remote=request.remote,
        options=_options(request),
    )


def _options(request: resource_pb2.RegisterResourceRequest) -> Options:
    timeouts = request.customTimeouts
    named = {name: getattr(timeouts, name) for name in ("create", "update", "delete")}
    specs = [alias.urn or alias.spec.name or alias.spec.parentUrn or alias.spec.type for alias in request.aliases]
    return Options(
        protect=request.protect,
        ignore_changes=tuple(request.ignoreChanges),
        replace_on_changes=tuple(request.replaceOnChanges),
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        retain_on_delete=request.retainOnDelete,
        deleted_with=request.deletedWith,
        timeouts={name: value for name, value in named.items() if value},
        aliases=(*request.aliasURNs, *specs),
        secret_outputs=tuple(request.additionalSecretOutputs),
        import_id=request.importId,
        version=request.version,
    )
