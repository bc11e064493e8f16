"""TCP ports, where more than one part of the stack must know them."""

from __future__ import annotations

from typing import Final

HTTP: Final = 80
HTTPS: Final = 443
API: Final = 8000
SCHEDULER: Final = 8786
DASHBOARD: Final = 8787
WORKERS: Final = (9000, 9099)
"""First and last; a worker of many processes takes one each."""
AUTOSCALER: Final = 8080
CACHE: Final = 6379
FILES: Final = 2049
