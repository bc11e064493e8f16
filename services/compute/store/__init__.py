"""Redis, the record of intent: every task accepted is here before the client hears of it.

The only package that speaks to the server. `AsyncStore` is for the API, `Store` (blocking) for workers; both execute
the commands of `commands.py`, whose work is done by the Lua scripts in `lua/`, one atomic transition each.
"""

from services.compute.store.aio import AsyncStore
from services.compute.store.records import StoredRecord, record_json, result_url
from services.compute.store.sync import Store
from services.compute.store.types import (
    Admission,
    Bundle,
    Change,
    Charge,
    Depth,
    Finished,
    FlightEntry,
    Handback,
    Page,
    Refusal,
    Refused,
    Started,
    Submission,
    Submitted,
    Taken,
    Vitals,
)

__all__ = [
    "Admission",
    "AsyncStore",
    "Bundle",
    "Change",
    "Charge",
    "Depth",
    "Finished",
    "FlightEntry",
    "Handback",
    "Page",
    "Refusal",
    "Refused",
    "Started",
    "Store",
    "StoredRecord",
    "Submission",
    "Submitted",
    "Taken",
    "Vitals",
    "record_json",
    "result_url",
]
