"""What authors of computations import, and what all services share. Light: Pydantic and the standard library."""

from services.compute.declare import computation
from services.compute.errors import Retry, TaskCancelled, TaskTimeout
from services.compute.frames import Array, Frame, Series
from services.compute.models import Outcome, Priority, Progress, Record, State, TaskError
from services.compute.progress import report_progress

__all__ = [
    "Array",
    "Frame",
    "Outcome",
    "Priority",
    "Progress",
    "Record",
    "Retry",
    "Series",
    "State",
    "TaskCancelled",
    "TaskError",
    "TaskTimeout",
    "computation",
    "report_progress",
]
