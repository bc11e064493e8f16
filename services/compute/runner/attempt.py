"""One attempt at running a task, as the thread that runs it and the watch thread share it."""

from __future__ import annotations

from services.compute.errors import TaskCancelled, TaskTimeout


class Attempt:
    """A started task: who it is, until when it may run, and who has settled it.

    The thread that first sets `settled`, holding the bundle's lock, decides the attempt's end; all others keep away.

    Args:
        task_id: the task.
        fence: number that every write of this attempt carries.
        attempts: attempts begun so far, this one included.
        deadline: when it is too late, in seconds of the runner's monotonic clock.
        limit: the computation's timeout in seconds, for messages.
    """

    __slots__ = ("attempts", "cancelled", "deadline", "fence", "limit", "overdue", "settled", "task_id", "timed_out")

    def __init__(self, task_id: str, fence: int, attempts: int, deadline: float, limit: float) -> None:
        self.task_id = task_id
        self.fence = fence
        self.attempts = attempts
        self.deadline = deadline
        self.limit = limit
        self.settled = False
        self.cancelled = False
        self.timed_out = False
        self.overdue = False

    def check(self) -> None:
        """Stop the computation if it no longer has leave to run.

        Raises:
            TaskTimeout: the deadline has passed.
            TaskCancelled: the task was cancelled, or runs elsewhere by now.
        """
        if self.timed_out:
            raise TaskTimeout(self.timeout_message())
        if self.cancelled or self.settled:
            raise TaskCancelled(f"{self.task_id} was cancelled, or another attempt has taken over")

    def timeout_message(self) -> str:
        """What a client reads when the attempt has run out of time."""
        return (
            f"the computation ran longer than its timeout of {self.limit:g} s: give it less to do, "
            "or raise `timeout` in its @computation"
        )
