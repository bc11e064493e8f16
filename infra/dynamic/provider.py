"""What the dynamic providers share: how they are stored, what they touch, how inputs are compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pulumi.dynamic import DiffResult, ResourceProvider

from infra.dynamic.aws import REAL, World


class EcsProvider(ResourceProvider):
    """A provider whose class is all that is stored of it.

    Args:
        world: AWS and time, from tests; None: the real ones, which then are no part of what is stored.
    """

    serialize_as_secret_always = False
    world: World = REAL

    def __init__(self, world: World | None = None) -> None:
        super().__init__()
        if world is not None:
            self.world = world


def difference(
    olds: Mapping[str, Any], news: Mapping[str, Any], *, ignored: Collection[str] = (), replacing: Sequence[str] = ()
) -> DiffResult:
    """Compare old outputs, which have the old inputs among them, with new inputs.

    Args:
        olds: outputs.
        news: inputs; what a preview does not know yet counts as changed.
        ignored: names that never count, outputs above all.
        replacing: names whose change needs a replacement.
    """
    names = (olds.keys() | news.keys()) - {*ignored, "__provider"}
    changed = {name for name in names if olds.get(name) != news.get(name)}
    return DiffResult(changes=bool(changed), replaces=[name for name in replacing if name in changed])
