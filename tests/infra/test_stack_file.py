"""What a stack's file says, read as Pulumi reads it; the two that are in the repository can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra import settings, stack_file


def _stack(root: Path, text: str, name: str = "dev") -> Path:
    (root / f"Pulumi.{name}.yaml").write_text(text, encoding="utf-8")
    return root


def test_values_are_text_as_a_program_gets_them(tmp_path: Path) -> None:
    root = _stack(tmp_path, 'config:\n  a: "10"\n  b: 10\n  c: true\n  d: 2.5\n  e: [x, y]\n  f: text\n')
    assert stack_file.values(stack_file.load("dev", root)) == {
        "a": "10", "b": "10", "c": "true", "d": "2.5", "e": '["x", "y"]', "f": "text",
    }  # fmt: skip


def test_what_only_pulumi_can_read_is_left_out(tmp_path: Path) -> None:
    root = _stack(tmp_path, "encryptionsalt: v1:abc=\nconfig:\n  tidegate:a:\n    secure: v1:xyz\n  tidegate:b: c\n")
    assert stack_file.values(stack_file.load("dev", root)) == {"tidegate:b": "c"}


def test_a_file_without_configuration_has_no_values(tmp_path: Path) -> None:
    assert stack_file.values(stack_file.load("dev", _stack(tmp_path, "config:\n"))) == {}


def test_an_organisation_is_no_part_of_the_files_name(tmp_path: Path) -> None:
    root = _stack(tmp_path, "config:\n  a: b\n", "prod")
    assert stack_file.load("acme/tidegate/prod", root) == {"config": {"a": "b"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [("config: [", "Pulumi.dev.yaml is no YAML"), ("- a\n", "Pulumi.dev.yaml holds no mapping")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(settings.ConfigError, match=said):
        stack_file.load("dev", _stack(tmp_path, text))


def test_a_stack_without_a_file_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(settings.ConfigError, match=r"there is no Pulumi\.test\.yaml .*\(there: Pulumi\.dev\.yaml\)"):
        stack_file.load("test", _stack(tmp_path, "config:\n"))


@pytest.mark.parametrize(("name", "tier"), [("dev", "development"), ("prod", "production")])
def test_the_repositorys_own_stacks_can_be_used(name: str, tier: str) -> None:
    config = stack_file.values(stack_file.load(name))
    assert settings.read(config).tier == tier
    assert config["aws:region"]
