"""Node types of ElastiCache: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

_SMALL = ("micro", "small", "medium")
_GRAVITON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_INTEL = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")

SIZES: Final[Mapping[str, Sequence[str]]] = {
    "t3": _SMALL,
    "t4g": _SMALL,
    "m4": ("large", "xlarge", "2xlarge", "4xlarge", "10xlarge"),
    "m5": _INTEL,
    "m6g": _GRAVITON,
    "m7g": _GRAVITON,
    "m8g": _GRAVITON,
    "r4": ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"),
    "r5": _INTEL,
    "r6g": _GRAVITON,
    "r7g": _GRAVITON,
    "r8g": _GRAVITON,
    "c7gn": _GRAVITON,
    "c8gn": _GRAVITON,
}
"""Families that new caches can have, with their sizes; a region may lack some."""

_PREVIOUS = "is of a generation that new caches cannot have"
REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("t1", "m1", "m2", "m3", "c1", "r3"), _PREVIOUS),
    "t2": "is no choice of this stack, t3 and t4g take its place",
    "r6gd": "tiers data between memory and disk, which this cache is not set up for",
}
"""Families that exist, and why a stack cannot have them."""


def problem(node_type: str) -> str | None:
    """What is wrong with a node type, and what to take instead; None when a stack can have it."""
    family = node_type.removeprefix("cache.").partition(".")[0]
    if family in REFUSED:
        return f"{family} {REFUSED[family]}: take one of {_families()}"
    known = [f"cache.{each}.{size}" for each, sizes in SIZES.items() for size in sizes]
    if node_type in known:
        return None
    if node_type.startswith("cache.") and family in SIZES:
        return f"{family} has the sizes {', '.join(SIZES[family])}: take one of them"
    close = difflib.get_close_matches(node_type, known, 1, cutoff=0.75)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"no node type that a stack can have: {hint}They are cache.FAMILY.SIZE, of {_families()}"


def _families() -> str:
    return ", ".join(SIZES)
