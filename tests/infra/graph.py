"""What a program registered: resources, what they depend on, what was asked and said on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.infra.wire import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a resource that decide on its life.

    Attributes:
        protect: Pulumi refuses to delete it.
        ignore_changes: properties whose changes in the program are not carried out, by their names in the schema.
        replace_on_changes: properties whose changes replace it.
        delete_before_replace: it goes before its replacement comes; None where the provider decides.
        retain_on_delete: Pulumi forgets it instead of deleting it.
        deleted_with: URN of what takes it along when deleted.
        timeouts: `create`, `update` and `delete`, in Pulumi's notation.
        aliases: URNs, names or parents that it had before.
        secret_outputs: outputs that are secret besides those that come from secret inputs.
        import_id: id of the existing resource that it takes over.
        version: of its provider's plugin.
    """

    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    retain_on_delete: bool = False
    deleted_with: str = ""
    timeouts: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    secret_outputs: tuple[str, ...] = ()
    import_id: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One registered resource.

    Attributes:
        type: token, such as `aws:ecs/service:Service`.
        name: logical name.
        urn: of the resource.
        inputs: by their names in the schema; numbers are floats, what is not known yet is `UNKNOWN`.
        secrets: paths of those inputs that are secret.
        outputs: what the mock answered, without what only repeats inputs; secrets are not marked here.
        id: that the mock gave; empty for components and in previews.
        parent: URN of the parent.
        depends_on: URNs that no input leads to: what `depends_on` added to the data flow.
        property_dependencies: URNs that each input depends on.
        provider: `URN::id` of an explicit provider, or empty.
        providers: explicit providers of a component, by package.
        custom: whether a provider manages it; components are not custom.
        remote: whether its children are made elsewhere, as those of awsx are.
        options: of the resource.
    """

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    secrets: frozenset[Path]
    outputs: Mapping[str, Any]
    id: str
    parent: str
    depends_on: frozenset[str]
    property_dependencies: Mapping[str, frozenset[str]]
    provider: str
    providers: Mapping[str, str]
    custom: bool
    remote: bool
    options: Options

    @property
    def secret_keys(self) -> frozenset[str]:
        """Names of inputs that are secret, or have a secret somewhere in them."""
        return frozenset(str(path[0]) for path in self.secrets)

    @property
    def dependencies(self) -> frozenset[str]:
        """URNs that must be there before it: by data, by `depends_on`, and its explicit provider."""
        provider = {self.provider.rpartition("::")[0]} if self.provider else set()
        return self.depends_on.union(provider, *self.property_dependencies.values())

    @property
    def where(self) -> str:
        """How a message names it."""
        return f"{self.type} {self.name!r}"


@dataclass(frozen=True, slots=True)
class Invoke:
    """One function of a provider that the program called.

    Attributes:
        token: of the function.
        arguments: of the call.
        answer: that the mock gave.
    """

    token: str
    arguments: Mapping[str, Any]
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the operator.

    Attributes:
        severity: `info`, `warning` or `error`.
        text: of the message.
        urn: of the resource that it is about, or empty.
    """

    severity: str
    text: str
    urn: str = ""


@dataclass(frozen=True)
class Graph:
    """Everything that one run of a program registered.

    Attributes:
        resources: in the order of their registration, without the stack itself.
        invokes: functions of providers that were called.
        exports: outputs of the stack.
        secret_exports: paths of those outputs that are secret.
        messages: to the operator.
    """

    resources: Sequence[Recorded]
    invokes: Sequence[Invoke]
    exports: Mapping[str, Any]
    secret_exports: frozenset[Path]
    messages: Sequence[Message]

    @cached_property
    def by_urn(self) -> Mapping[str, Recorded]:
        """Resources by URN."""
        return {resource.urn: resource for resource in self.resources}

    @property
    def warnings(self) -> list[str]:
        """Texts of all warnings."""
        return [message.text for message in self.messages if message.severity == "warning"]

    def of(self, kind: str) -> list[Recorded]:
        """All resources of a type token; of a class name, such as `SchedulerAddress`, for any module."""
        return [found for found in self.resources if kind in (found.type, found.type.rpartition(":")[2])]

    def one(self, kind: str, name: str | None = None) -> Recorded:
        """The only resource of a type, or the only one with a name among them.

        Raises:
            LookupError: there is none, or more than one.
        """
        found = [resource for resource in self.of(kind) if name in (None, resource.name)]
        if len(found) != 1:
            wanted = kind if name is None else f"{kind} {name!r}"
            have = ", ".join(sorted(resource.name for resource in self.of(kind))) or "none of that type"
            raise LookupError(f"{len(found)} resources are {wanted}, not one; there are: {have}")
        return found[0]

    def named(self, name: str) -> Recorded:
        """The only resource with a name, URNs included.

        Raises:
            LookupError: there is none, or more than one.
        """
        if name in self.by_urn:
            return self.by_urn[name]
        found = [resource for resource in self.resources if resource.name == name]
        if len(found) != 1:
            kinds = ", ".join(resource.type for resource in found) or "none"
            raise LookupError(f"{len(found)} resources are named {name!r}, not one ({kinds}): give its URN")
        return found[0]

    def children(self, parent: Recorded) -> Iterator[Recorded]:
        """Resources below another, at any depth."""
        for resource in self.resources:
            if resource.parent == parent.urn:
                yield resource
                yield from self.children(resource)

    def dependencies(self, name: str | Recorded) -> frozenset[str]:
        """Names of what a resource directly depends on, by data or by `depends_on`."""
        resource = name if isinstance(name, Recorded) else self.named(name)
        return frozenset(self.by_urn[urn].name for urn in resource.dependencies if urn in self.by_urn)

    def before(self, first: str | Recorded, then: str | Recorded) -> bool:
        """Whether the engine waits for one resource before it makes another, through however many in between.

        A component stands for all that it is made of: each of `first`'s before each of `then`'s.
        """
        earlier, later = ([*self._parts(self._resource(each))] for each in (first, then))
        return bool(earlier and later) and all(one.urn in self._ancestors(other) for one in earlier for other in later)

    def _resource(self, name: str | Recorded) -> Recorded:
        return name if isinstance(name, Recorded) else self.named(name)

    def _parts(self, resource: Recorded) -> Iterator[Recorded]:
        if resource.custom or resource.remote:
            yield resource
        else:
            yield from (child for child in self.children(resource) if child.custom or child.remote)

    def _ancestors(self, resource: Recorded) -> frozenset[str]:
        known = self.__dict__.setdefault("_known_ancestors", {})
        if resource.urn not in known:
            direct = {urn for urn in resource.dependencies if urn in self.by_urn}
            parent = self.by_urn.get(resource.parent)
            direct |= {parent.urn} if parent and parent.custom else set()
            known[resource.urn] = frozenset(direct).union(*(self._ancestors(self.by_urn[urn]) for urn in direct))
        ancestors: frozenset[str] = known[resource.urn]
        return ancestors
