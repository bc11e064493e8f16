"""One task's life as the scripts must tell it: what each transition does to it, without Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.compute.models import State
from services.compute.store import Charge, Started

MAX_ATTEMPTS = 3


@dataclass
class Model:
    """What is known of one task; `place` says where one that waits is, `mates` how many its start call began."""

    state: State | None = None
    place: str = ""
    attempts: int = 0
    drains: int = 0
    alone: bool = False
    dispatch: str | None = None
    fence: int | None = None
    run: str | None = None
    mates: int = 0
    revision: int = 0
    seen: set[str] = field(default_factory=set)
    past: list[Started] = field(default_factory=list)

    @property
    def solitary(self) -> bool:
        return self.attempts > 0 or self.drains > 0 or self.alone

    def end(self, state: State) -> None:
        self.state, self.place, self.dispatch, self.run = state, "", None, None
        self.alone = False
        if state is not State.DONE:
            self.fence = None if state is State.CANCELLED else self.fence

    def back(self, delayed: bool) -> None:
        self.state, self.place = State.PENDING, "delayed" if delayed else "queue"
        self.dispatch = self.fence = self.run = None

    def lose(self) -> bool:
        """A worker is lost; whether the task goes on."""
        if self.mates > 1 and not self.alone:
            self.alone = True
            self.attempts -= 1
            return True
        return self.attempts < MAX_ATTEMPTS

    def charge(self, charge: Charge) -> bool:
        if self.state is State.PENDING:
            return True
        if charge is Charge.ATTEMPT:
            return self.lose()
        if charge is Charge.RETRY:
            return self.attempts < MAX_ATTEMPTS
        self.attempts -= 1
        self.drains += charge is Charge.DRAIN
        return True
