"""The served OpenAPI document held against the process that serves it: no 5xx, no schema violation.

Examples, boundary values, random data and chains of requests, the same in each run; all checks of schemathesis are
on, but for what is given a reason here and in `schemathesis.toml`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx

from tests.integration.api.conftest import Running

RUN = "from schemathesis.cli import schemathesis; schemathesis()"
EXAMPLES = 15


def test_the_server_keeps_to_its_document(running: Running, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, "--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
    command += ["run", f"{running.url}/api/v1/openapi.json", "--generation-deterministic"]
    command += ["--checks", "all", "--exclude-checks", "use_after_free"]  # DELETE cancels: the record stays
    command += ["--max-examples", str(EXAMPLES), "--workers", "1", "--request-timeout", "30", "--no-color"]
    command += ["-H", "Prefer: wait=0"]  # nothing ever ends here; waiting has tests of its own
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "15 selected / 15 total" in done.stdout
    lines = [json.loads(line) for line in running.process.log.read_text().splitlines() if line.startswith("{")]
    statuses = [line["status"] for line in lines if line["event"] == "request"]
    assert len(statuses) > 300
    assert max(statuses) < 500
    assert httpx.get(f"{running.url}/livez", trust_env=False).status_code == 200
