"""What all tests share: property tests are not timed, since the machines that run them are shared and noisy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")
