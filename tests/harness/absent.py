"""What a test needs of its machine and does not find: a skip for developers, a failure where all must have run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(what: str) -> NoReturn:
    """Skip the test, or in continuous integration fail it, with what is missing and where it comes from."""
    if os.environ.get("CI"):
        pytest.fail(f"continuous integration has everything, but {what}")
    pytest.skip(what)
