"""The metrics that the API writes for CloudWatch: the one table, from which dashboards and alarms are made.

Nothing is imported but the standard library, so that an infrastructure program can read it without the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_STACK: Final = (("Stack",),)

EMITTED: Final[Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]]] = {
    # By every process: sum over them.
    "Requests": ("Count", _STACK),
    "Errors5xx": ("Count", _STACK),
    "RequestSeconds": ("Seconds", _STACK),
    "StoreUp": ("None", _STACK),
    "SchedulerUp": ("None", _STACK),
    # By the one process that reconciles.
    "QueueDepth": ("Count", _STACK),
    "QueueInteractive": ("Count", _STACK),
    "QueueBatch": ("Count", _STACK),
    "QueueDelayed": ("Count", _STACK),
    "QueueAge": ("Seconds", _STACK),
    "InFlight": ("Count", _STACK),
    "RedisMemoryShare": ("Percent", _STACK),
}
"""By metric its unit and its dimension sets.

Requests            requests answered since the last line, probes and scrapes left out
Errors5xx           of these, answered with a status of 500 or more
RequestSeconds      times to answer, a sample; requests that asked to wait and event streams left out
StoreUp             1 when Redis answers this process, else 0: the minimum tells
SchedulerUp         1 while this process is connected to the Dask scheduler, else 0: the minimum tells
QueueDepth          tasks that wait in Redis: the sum of the three below
QueueInteractive    in the queue of single submissions
QueueBatch          in the queue of batches
QueueDelayed        for a retry's time or a worker with their version
QueueAge            since the oldest task at the head of a queue was asked for
InFlight            tasks handed to Dask and not final
RedisMemoryShare    used memory of what the server may use; not told by a server without a limit
"""
