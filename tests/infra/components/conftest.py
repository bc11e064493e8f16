from __future__ import annotations

import pytest

from tests.infra.components.stacks import Stacks
from tests.infra.program import graph_of


@pytest.fixture
def stack() -> Stacks:
    return graph_of
