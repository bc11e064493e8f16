"""Passing time, as those who wait need it; tests bring a clock of their own."""

from __future__ import annotations

import random
import time


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def chance(self) -> float:
        """Draw a number from 0 to 1."""
        return random.random()  # noqa: S311  # jitter, not a secret

    def pause(self, seconds: float, until: float) -> None:
        """Wait three quarters to five quarters of some seconds, and not beyond a time."""
        self.sleep(max(0.0, min(seconds * (0.75 + self.chance() / 2), until - self.now())))
