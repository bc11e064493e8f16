"""What all components have in common: a place, names, and tags on everything that is made under them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra.credentials import Credentials
from infra.naming import Names
from infra.settings import StackSettings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stack is, and what is said about all of it.

    Attributes:
        names: of the stack.
        settings: of the stack.
        region: of AWS.
        account: id of the account.
        partition: of AWS, such as `aws`.
        credentials: as whom Pulumi works.
    """

    names: Names
    settings: StackSettings
    region: str
    account: str
    partition: str
    credentials: Credentials


class Component(pulumi.ComponentResource):
    """A part of the stack: its resources are its children, and carry its tags.

    Args:
        part: what it is, which is also its name within the stack.
        place: the stack.
        opts: of Pulumi.
        tag: value of the tag `tidegate:component`; None: the part.
    """

    def __init__(
        self, part: str, place: Place, opts: pulumi.ResourceOptions | None = None, *, tag: str | None = None
    ) -> None:
        tags = place.names.tags(tag or part, place.settings.tier)
        tagged = pulumi.ResourceOptions(transformations=[_tagging(tags)])
        super().__init__(
            f"tidegate:components:{type(self).__name__}",
            place.names.logical(part),
            None,
            pulumi.ResourceOptions.merge(opts, tagged),
        )
        self.place = place

    def child(
        self,
        *after: pulumi.Resource,
        ignore: list[str] | None = None,
        protect: bool = False,
        delete_first: bool = False,
    ) -> pulumi.ResourceOptions:
        """Options of a resource of this component.

        Args:
            after: what must be there before it, beyond what its inputs refer to.
            ignore: properties that somebody else changes.
            protect: whether Pulumi refuses to delete it.
            delete_first: whether it must be gone before its replacement is made, since both would have one name.
        """
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=list(after),
            ignore_changes=ignore,
            protect=protect or None,
            delete_before_replace=delete_first or None,
        )


def _tagging(tags: Mapping[str, str]) -> pulumi.ResourceTransformation:
    """Adds tags to all resources that can have any; their own win."""

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not _taggable(type(args.resource)):
            return None
        own = args.props.get("tags")
        merged = pulumi.Output.from_input(own).apply(lambda given: {**tags, **(given or {})}) if own else dict(tags)
        return pulumi.ResourceTransformationResult({**args.props, "tags": merged}, args.opts)

    return transform


def _taggable(kind: type[pulumi.Resource]) -> bool:
    """Whether resources of a class have tags, by the arguments of its constructor."""
    constructor = getattr(kind, "_internal_init", None)
    return constructor is not None and "tags" in inspect.signature(constructor).parameters
