"""Names and tags: one place that knows what AWS allows.

Most resources are named by Pulumi, which adds `-` and seven characters to a resource's logical name, so that a
replacement can stand beside what it replaces. Logical names carry project and stack, and are cut so that the whole
fits. What others have to know by name (families, log groups, the DNS namespace) is named here in full.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

PULUMI_SUFFIX = 8
"""Characters that Pulumi adds to a logical name."""

LIMITS: Mapping[str, int] = {
    "load_balancer": 32,
    "target_group": 32,
    "cache": 40,
    "bucket": 63,
    "role": 64,
}
"""Longest names, where AWS allows fewer than 100 characters (as of November 2025, each service's API reference)."""

OTHERS = 100
_ALLOWED = re.compile(r"[a-z][a-z0-9-]*")
_DIGEST = 6


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one stack.

    Attributes:
        project: of Pulumi.
        stack: of Pulumi.
    """

    project: str
    stack: str

    @property
    def prefix(self) -> str:
        """Leads all names: project and stack, in the characters that all services allow."""
        return plain(f"{self.project}-{self.stack}")

    def logical(self, part: str, kind: str = "") -> str:
        """A logical name that leaves room for Pulumi's suffix.

        Args:
            part: what it is within the stack, such as `api`.
            kind: key of `LIMITS`; anything else has 100 characters.
        """
        return fit(f"{self.prefix}-{part}", LIMITS.get(kind, OTHERS) - PULUMI_SUFFIX)

    def family(self, service: str) -> str:
        """Family of a task definition; its revisions stay under it."""
        return fit(f"{self.prefix}-{service}", OTHERS)

    def log_group(self, service: str) -> str:
        """Log group of a service."""
        return f"/{plain(self.project)}/{plain(self.stack)}/{service}"

    @property
    def namespace(self) -> str:
        """Private DNS namespace; one label of it may have 63 characters."""
        return f"{fit(self.prefix, 63)}.internal"

    @property
    def repository(self) -> str:
        """Leads the names of image repositories."""
        return f"{plain(self.project)}/{plain(self.stack)}"

    @property
    def fleet(self) -> str:
        """Marks the workers of this stack (`FLEET_NAME`)."""
        return fit(self.prefix, OTHERS)

    def tags(self, component: str, tier: str) -> dict[str, str]:
        """Tags of everything that a component makes."""
        return {
            "tidegate:project": self.project,
            "tidegate:stack": self.stack,
            "tidegate:component": component,
            "tidegate:tier": tier,
        }


def plain(text: str) -> str:
    """Put a name into what all services allow: lower case, digits, single hyphens, a letter first.

    Raises:
        ValueError: nothing is left of it.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not _ALLOWED.fullmatch(name):
        raise ValueError(f"{text!r} makes no name for AWS: begin project and stack with a letter")
    return name


def fit(name: str, limit: int) -> str:
    """Cut a name to a limit; a digest of the whole keeps those apart that begin alike."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    return f"{name[: limit - _DIGEST - 1].rstrip('-')}-{digest}"
