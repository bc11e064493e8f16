"""The served OpenAPI document held against the server that serves it: no 5xx, no schema violation.

Deterministic: each run sends the same requests. All checks of schemathesis are on, with the exceptions named below.
"""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.integration.api.conftest import Running


@pytest.fixture(scope="module")
def api_schema(running: Running) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{running.url}/api/v1/openapi.json")


schema = schemathesis.pytest.from_fixture("api_schema")


@schema.parametrize()
@settings(max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation(case: schemathesis.Case) -> None:
    if "Prefer" in (case.headers or {}):
        case.headers["Prefer"] = "wait=0"  # waiting is tested elsewhere, and nothing ever ends here
    case.call_and_validate(timeout=20)
