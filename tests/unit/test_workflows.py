"""GitHub's workflows: actionlint finds nothing, actions are pinned, rights are few, and each stack has its branch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.absent import absent

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
STACKS = {"main": "dev", "production": "prod"}
"""By branch."""
EXPRESSION = "'production' && 'prod' || 'dev'"


def _read(name: str) -> dict[str, Any]:
    read = yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    # YAML takes the key `on` for true.
    return {"on" if key is True else key: value for key, value in read.items()}


def _jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, job in _read(file.name)["jobs"].items():
            yield f"{file.name}: {name}", job


def _steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for where, job in _jobs():
        for number, step in enumerate(job.get("steps", [])):
            yield f"{where}, step {number}", step


def _actionlint() -> list[str]:
    """The command; built from its module where it is not at hand, which is quick the second time."""
    if shutil.which("actionlint"):
        return ["actionlint"]
    if not shutil.which("go"):
        absent(f"neither actionlint nor go is on PATH: install Go, or `go install {ACTIONLINT}`")
    return ["go", "run", ACTIONLINT]


@pytest.mark.timeout(600)
def test_actionlint_finds_nothing() -> None:
    # What a shell script's linter would say depends on whether one is installed.
    command = [*_actionlint(), "-no-color", "-shellcheck=", "-pyflakes=", *map(str, FILES)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_are_those_that_the_documents_describe() -> None:
    assert [file.name for file in FILES] == ["deploy.yml", "images.yml", "preview.yml", "test.yml"]


def test_every_action_is_pinned_to_a_commit_whose_version_is_said() -> None:
    """A tag can be moved to other code, a commit cannot."""
    lines = [
        line.strip() for file in FILES for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line
    ]
    remote = [line for line in lines if "uses: ./" not in line]
    assert len(remote) > 10
    assert [
        line for line in remote if not re.fullmatch(r"(- )?uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+[\d.]*", line)
    ] == []
    pins: dict[str, set[str]] = {}
    for line in remote:
        action, _, pin = line.rpartition("uses: ")[2].partition("@")
        pins.setdefault(action, set()).add(pin)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_rights_are_given_to_jobs_and_are_few() -> None:
    for file in FILES:
        assert _read(file.name)["permissions"] in ({}, {"contents": "read"}), file.name
    written = {
        (where, right)
        for where, job in _jobs()
        for right, level in job.get("permissions", {}).items()
        if level != "read"
    }
    assert written == {
        ("deploy.yml: deploy", "id-token"),
        ("preview.yml: preview", "id-token"),
        ("preview.yml: comment", "pull-requests"),
    }


def test_no_run_has_a_token_that_it_does_not_need() -> None:
    checkouts = [(where, step) for where, step in _steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [where for where, step in checkouts if step["with"]["persist-credentials"] is not False] == []
    assert "secrets." not in "".join(file.read_text(encoding="utf-8") for file in FILES)


def test_what_others_wrote_reaches_scripts_by_their_environment_only() -> None:
    """A branch's name or a title inside `${{ }}` would become part of the script."""
    assert [where for where, step in _steps() if "${{" in step.get("run", "")] == []


def test_pull_requests_from_forks_see_no_preview_and_run_with_their_own_rights() -> None:
    assert (
        "github.event.pull_request.head.repo.full_name == github.repository"
        in _read("preview.yml")["jobs"]["preview"]["if"]
    )
    assert [file.name for file in FILES if "pull_request_target" in _read(file.name)["on"]] == []


def test_the_comment_is_written_by_a_job_that_runs_no_code_of_the_pull_request() -> None:
    comment = _read("preview.yml")["jobs"]["comment"]
    assert [step.get("uses", "").partition("@")[0] for step in comment["steps"]] == ["actions/download-artifact", ""]
    assert "make" not in comment["steps"][-1]["run"]


def test_each_branch_has_a_stack_and_a_gate() -> None:
    assert _read("preview.yml")["on"]["pull_request"]["branches"] == list(STACKS)
    assert _read("deploy.yml")["on"] == {"push": {"branches": list(STACKS)}}
    assert [stack for stack in STACKS.values() if not (ROOT / f"Pulumi.{stack}.yaml").exists()] == []
    deploy, preview = _read("deploy.yml")["jobs"]["deploy"], _read("preview.yml")["jobs"]["preview"]
    assert deploy["environment"] == deploy["env"]["STACK"] == f"${{{{ github.ref_name == {EXPRESSION} }}}}"
    assert preview["env"]["STACK"] == f"${{{{ github.base_ref == {EXPRESSION} }}}}"


def test_a_deployment_comes_after_tests_alone_and_to_its_end() -> None:
    jobs = _read("deploy.yml")["jobs"]
    assert jobs["deploy"]["needs"] == "test"
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert jobs["deploy"]["concurrency"] == {"group": "deploy-${{ github.ref_name }}", "cancel-in-progress": False}


def test_every_job_ends() -> None:
    assert [where for where, job in _jobs() if "uses" not in job and not 0 < job.get("timeout-minutes", 0) <= 90] == []


def test_the_make_targets_that_workflows_call_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = {name for _, step in _steps() for name in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert called == {"test", "preview", "deploy"}
    assert called <= targets


def test_both_platforms_of_a_stack_are_built_for_every_service() -> None:
    matrix = _read("images.yml")["jobs"]["build"]["strategy"]["matrix"]
    assert matrix["service"] == [each.parent.name for each in sorted((ROOT / "services").glob("*/Dockerfile"))]
    assert matrix["platform"] == ["linux/amd64", "linux/arm64"]
