"""Errors of the local stack: each ends it, with a message for the person at the terminal."""

from __future__ import annotations

from services.compute.errors import TidegateError


class LocalError(TidegateError):
    """The stack cannot start or go on; the message says why and what to do."""


class DirectoryInUse(LocalError):
    """Another stack holds the data directory."""


class PortInUse(LocalError):
    """Something else listens where the API should."""


class PartFailed(LocalError):
    """A part did not become ready, or keeps dying; the message ends with the tail of its log."""
