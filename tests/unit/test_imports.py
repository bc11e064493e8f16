"""What must import without what: heavy libraries are for workers, cloud libraries for whom they concern."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys

class Refuse:
    blocked = frozenset(sys.argv[1].split(","))

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.blocked:
            raise ModuleNotFoundError(f"{name} is kept out", name=name)
        return None

sys.meta_path.insert(0, Refuse())
for statement in sys.argv[2].split(";"):
    exec(statement.strip())
loaded = sorted(Refuse.blocked & {name.partition(".")[0] for name in sys.modules})
assert not loaded, loaded
"""

HEAVY = "numpy,pandas,pyarrow,boto3,botocore,pulumi,pulumi_aws,pulumi_awsx"
WEB = "fastapi,starlette,uvicorn,prometheus_client"
CLUSTER = "dask,distributed,redis,tornado"


@pytest.mark.parametrize(
    ("blocked", "statements"),
    [
        (f"{HEAVY},{WEB},{CLUSTER},structlog,yaml", "import services.compute"),
        (f"{HEAVY},{WEB},{CLUSTER}", "from services.compute.registry import load_registry; load_registry()"),
        (f"{HEAVY},{WEB},{CLUSTER}", "from services.compute import codec, identity, log, settings"),
        (f"{HEAVY},{WEB},{CLUSTER}", "import services.objects, services.objects.directory"),
        (f"{HEAVY},{WEB}", "import services.compute.store, services.compute.runner"),
        (HEAVY, "import services.api.app, services.api.__main__"),
        (f"{HEAVY},{WEB}", "import services.worker.process, services.worker.scheduler"),
    ],
)
def test_importable_without(blocked: str, statements: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, blocked, statements],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr


def test_importing_computations_reads_no_setting() -> None:
    script = "import os; os.environ.clear(); import services.compute, services.compute.settings"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
