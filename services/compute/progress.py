"""How a running computation says how far it is, and learns that it should stop.

The runner installs a reporter for the thread that runs a computation; without one (in an author's unit test)
reports go nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar, Token

Reporter = Callable[[float, float | None, str | None], None]
"""Takes done, total and message; raises TaskCancelled or TaskTimeout when the computation should stop."""

MESSAGE_MAX = 1000
"""Characters of a message that are kept."""

current_reporter: ContextVar[Reporter | None] = ContextVar("current_reporter", default=None)


def report_progress(done: float, total: float | None = None, message: str | None = None) -> None:
    """Say how far the running computation is; cheap, so call it as often as is natural.

    Outside a task it does nothing. Whatever it is given, it never makes a task fail: what is no finite number counts as
    0 done and an unknown total, and of a message that cannot be written as UTF-8 the rest is kept.

    Args:
        done: how much is done, in any unit.
        total: how much there is to do, in the same unit; None when that is not known.
        message: what is going on, up to 1,000 characters.

    Raises:
        TaskCancelled: the task was cancelled, or another attempt has taken over: let it pass.
        TaskTimeout: the task is past its deadline: let it pass.
    """
    reporter = current_reporter.get()
    if reporter is None:
        return
    reporter(_number(done) or 0.0, _number(total), _text(message))


def _number(value: object) -> float | None:
    """A finite float; None where there is none, as for 10**400."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except Exception:
        return None
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    """A text that UTF-8 can hold, cut to size."""
    if value is None:
        return None
    try:
        text = str(value)
    except Exception as error:
        text = f"(a message that cannot be read: {type(error).__name__})"
    return text[:MESSAGE_MAX].encode("utf-8", "replace").decode()


def install(reporter: Reporter | None) -> Token[Reporter | None]:
    """Make `reporter` take the reports of the calling thread; give the token to `restore` afterwards."""
    return current_reporter.set(reporter)


def restore(token: Token[Reporter | None]) -> None:
    """Bring back the reporter that `install` replaced."""
    current_reporter.reset(token)
