"""What the pages for operators say exists: commands and their options, alarms, widgets, variables of workflows."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import botocore.session
import jmespath
import pytest
from botocore import xform_name

from infra import preflight
from infra.dashboard import Watched, alarms, dashboard
from tests import shell
from tests.harness.absent import absent

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
INCIDENTS = (ROOT / "docs/incidents.md").read_text(encoding="utf-8")
PAGES = OPERATIONS + INCIDENTS
WATCHED = Watched("", "", "", "", "", "", ("",))

EVERYWHERE = frozenset(["--query", "--output", "--region", "--profile"])
SERVICES = {"s3api": "s3"}
"""Of botocore, by the CLI's name where they differ."""
OF_THE_CLI: Mapping[str, frozenset[str]] = {
    "s3 rm": frozenset(["--recursive"]),
    "logs tail": frozenset(["--since", "--follow"]),
    "configure sso": frozenset(),
    "sso login": frozenset(),
}
"""Commands that are the CLI's own, with those of their options that are used here."""

AWS = [words for words in shell.commands(PAGES, "aws") if len(words) > 1]
PULUMI = shell.commands(PAGES, "pulumi")


@cache
def _operation(service: str, command: str) -> botocore.model.OperationModel | None:
    model = _session().get_service_model(SERVICES.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    return model.operation_model(names[command]) if command in names else None


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def _name(words: list[str]) -> str:
    return " ".join(words[:2])


def test_the_pages_have_commands_to_look_at() -> None:
    assert len(AWS) > 30
    assert len(PULUMI) > 20


@pytest.mark.parametrize("words", AWS, ids=_name)
def test_commands_of_aws_exist_and_have_what_they_need(words: list[str]) -> None:
    service, command = words[:2]
    if _name(words) in OF_THE_CLI:
        assert shell.flags(words) <= OF_THE_CLI[_name(words)] | EVERYWHERE
        return
    operation = _operation(service, command)
    assert operation is not None, f"aws {service} has no {command}"
    shape = operation.input_shape
    members = {f"--{xform_name(name, '-')}": name for name in (shape.members if shape else {})}
    used = shell.flags(words) - EVERYWHERE
    assert used <= set(members), f"aws {service} {command} takes {sorted(members)}"
    given = {members[flag] for flag in used}
    assert set(shape.required_members if shape else ()) <= given
    if (query := shell.value(words, "--query")) is not None:
        jmespath.compile(query)


@cache
def _help(*words: str) -> str:
    if not shutil.which("pulumi"):
        absent("no pulumi on PATH: https://www.pulumi.com/docs/install/")
    done = subprocess.run(
        ["pulumi", *words, "--help"], capture_output=True, text=True, timeout=60, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _wrong(words: list[str]) -> str | None:
    """What Pulumi's CLI would not take of a call; it shows the help of the nearest command that it knows."""
    plain = list(itertools.takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, words))
    text = _help(*plain)
    usage = text.partition("Usage:\n")[2].splitlines()[0].split()[1:]
    known = list(itertools.takewhile(re.compile(r"[a-z-]+").fullmatch, usage))
    aliases = text.partition("Aliases:\n")[2].partition("\n")[0].replace(",", " ").split()
    same = len(plain) >= len(known) and all(
        mine == theirs or mine in aliases for mine, theirs in zip(plain, known, strict=False)
    )
    takes_more = any(word not in ("[flags]", "[command]") for word in usage[len(known) :])
    if not same or (len(plain) > len(known) and not takes_more):
        return f"there is no pulumi {' '.join(plain)}, but pulumi {' '.join(known)}"
    unknown = shell.flags(words) - set(re.findall(r"--[a-z][a-z-]*", text))
    return f"pulumi {' '.join(known)} has no {', '.join(sorted(unknown))}" if unknown else None


@pytest.mark.parametrize("words", PULUMI, ids=" ".join)
def test_commands_of_pulumi_exist_and_take_their_options(words: list[str]) -> None:
    assert _wrong(words) is None


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("stack frobnicate", "there is no pulumi stack frobnicate, but pulumi stack"),
        ("destroy --force", "pulumi destroy has no --force"),
        ("frobnicate", "there is no pulumi frobnicate, but pulumi "),
    ],
)
def test_commands_that_pulumi_does_not_have_are_found(command: str, wrong: str) -> None:
    assert _wrong(command.split()) == wrong


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for bash")
def test_blocks_of_commands_are_sound() -> None:
    blocks = shell.blocks(PAGES)
    done = [
        subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False) for block in blocks
    ]
    assert len(blocks) > 10
    assert [each.stderr for each in done if each.returncode or each.stderr] == []


def test_modules_that_are_run_exist() -> None:
    modules = {words[words.index("-m") + 1] for words in shell.commands(PAGES, "python") if "-m" in words}
    assert modules
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def _sections(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def test_every_alarm_has_a_section() -> None:
    assert _sections(INCIDENTS) == [alarm.name for alarm in alarms(WATCHED)]


def test_sections_say_when_their_alarm_goes_off() -> None:
    words = {3: "three", 5: "five", 15: "15"}
    for alarm in alarms(WATCHED):
        said = INCIDENTS.partition(f"## {alarm.name}\n\n")[2].partition("\n")[0]
        assert said.startswith("*"), alarm.name
        threshold = {10: "ten", 1: "no", 900: "15"}.get(int(alarm.threshold), f"{alarm.threshold:g}")
        assert threshold in said.lower(), alarm.name
        assert words[alarm.minutes] in said or alarm.name == "queue-age", alarm.name


def test_every_widget_is_explained_in_its_order() -> None:
    titles = [widget["properties"]["title"] for widget in dashboard(WATCHED, "us-east-1")["widgets"]]
    table = OPERATIONS.partition("| widget | how to read it |\n|---|---|\n")[2].partition("\n\n")[0]
    assert [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()] == titles


def test_the_variables_of_workflows_are_those_that_are_set() -> None:
    workflows = "".join(file.read_text(encoding="utf-8") for file in (ROOT / ".github/workflows").glob("*.yml"))
    wanted = {f"DEV_{name}" for name in re.findall(r"vars\[format\('\{0\}_([A-Z_]+)'", workflows)}
    assert wanted == set(re.findall(r"gh variable set (\w+)", OPERATIONS))


def test_every_workflow_is_described() -> None:
    assert set(re.findall(r"^\| `(\w+\.yml)` \|", OPERATIONS, re.MULTILINE)) == {
        file.name for file in (ROOT / ".github/workflows").glob("*.yml")
    }


def test_sections_that_messages_point_to_exist() -> None:
    source = Path(preflight.__file__).read_text(encoding="utf-8")
    named = re.findall(r"\(docs/operations\.md, ([A-Z][\w ]+)\)", source)
    assert named
    assert [name for name in named if name not in _sections(OPERATIONS)] == []
