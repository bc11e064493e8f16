"""Exit codes that worker processes speak to their supervisor with."""

from __future__ import annotations

from typing import Final

DRAINED: Final = 0
"""It was told to leave, and left."""

NO_SCHEDULER: Final = 69
"""EX_UNAVAILABLE: no scheduler came in SCHEDULER_WAIT seconds. The supervisor's own status for it is 1."""

REPLACE: Final = 75
"""EX_TEMPFAIL: code ran on past its timeout; a fresh process should take this one's place."""

MISCONFIGURED: Final = 78
"""EX_CONFIG: starting again would not help; the log says why."""

KILLED: Final = 137
"""What a supervisor ends with when it had to kill."""
