"""Fleets: what starts, stops and lists machines. `Fleet` is all that the rest of the autoscaler knows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from services.autoscaler.model import FleetView, Launch, Launched


def nothing() -> None:
    """Do nothing."""


class Fleet(Protocol):
    """Starts, stops and lists the machines that it owns, and touches no others.

    Methods are called by one thread. None waits longer than some seconds, and none tries again by itself: the next
    round does.
    """

    @property
    def launch_max(self) -> int:
        """Machines that one launch may ask for."""

    @property
    def revision(self) -> str:
        """Revision of the worker's definition that new machines get."""

    def observe(self, known: Sequence[str] = (), between: Callable[[], None] = nothing) -> FleetView:
        """Look at all machines of this fleet.

        Args:
            known: ids that were launched a short while ago, which a listing may not show yet.
            between: called after each call that this takes, of which many machines take many; what it raises ends it.

        Raises:
            FleetUnavailable: no certain answer.
        """

    def launch(self, launch: Launch) -> Launched:
        """Start machines; the same token again, within minutes, is the same launch and gives the same ids.

        Raises:
            FleetThrottled: nothing was done.
            FleetUnavailable: nothing is known.
            LaunchRefused: nothing was done and the same launch would be refused again.
        """

    def stop(self, machine: str, reason: str) -> None:
        """Tell one machine of ours to stop; it drains first. A machine that is gone is as good.

        Raises:
            FleetThrottled: nothing was done.
            FleetUnavailable: nothing is known.
            MachineUnknown: no view has shown it as ours.
        """

    def check(self, maximum: int) -> Sequence[str]:
        """What stands in the way of `maximum` machines (quotas), as messages for the operator; never raises."""

    def close(self) -> None:
        """The autoscaler ends. Machines that live by themselves go on; those that cannot are stopped and waited for."""
