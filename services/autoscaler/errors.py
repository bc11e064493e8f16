"""The autoscaler's errors. Whatever happens, the fleet is held as it is until the next round.

TidegateError
├── FleetUnavailable      the fleet gave no answer; nothing is known
│   └── FleetThrottled    too many calls; nothing was done, and nothing should be asked for a while
├── LaunchRefused         a launch that cannot succeed as it is asked for: its token is done with
├── MachineUnknown        a machine that the fleet has never seen as its own
└── SchedulerUnavailable  no Dask scheduler answered at any address
"""

from __future__ import annotations

from services.compute.errors import TidegateError


class FleetUnavailable(TidegateError):
    """The fleet's interface gave no answer, so that nothing is known of the call's effect; the message says why."""


class FleetThrottled(FleetUnavailable):
    """Too many calls, by the service's word or by our own count of its quota: nothing was done.

    Args:
        message: which call, and who said no.
        wait: seconds until the next call has a chance, jitter included.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class LaunchRefused(TidegateError):
    """The service refused a launch for good (definition, network, rights): the message has its own reason."""


class MachineUnknown(TidegateError):
    """A machine was to be stopped that the fleet has never seen as its own; nothing was done."""


class SchedulerUnavailable(TidegateError):
    """No Dask scheduler answered in time, at any of its addresses."""
