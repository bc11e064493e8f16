"""All kinds and functions that the plugins know."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.infra.engine import containers, data, identity, local, network, watch, web
from tests.infra.engine.kind import Kind, Props

KINDS: Mapping[str, Kind] = {
    **network.KINDS,
    **identity.KINDS,
    **containers.KINDS,
    **data.KINDS,
    **web.KINDS,
    **watch.KINDS,
    **local.KINDS,
}
FUNCTIONS: Mapping[str, Callable[[Props], Props]] = network.FUNCTIONS
