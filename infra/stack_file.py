"""A stack's configuration as its file has it, for what looks at it without Pulumi."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.settings import ConfigError

ROOT = Path(__file__).parents[1]
ENCRYPTED = "secure"
"""What a value is under when only Pulumi can read it."""


def path_of(stack: str, root: Path = ROOT) -> Path:
    """The file of a stack; its name may have the organisation in front."""
    return root / f"Pulumi.{stack.rpartition('/')[2]}.yaml"


def load(stack: str, root: Path = ROOT) -> dict[str, Any]:
    """What a stack's file says.

    Raises:
        ConfigError: there is no such file, or it holds no YAML mapping.
    """
    path = path_of(stack, root)
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = ", ".join(sorted(each.name for each in root.glob("Pulumi.*.yaml"))) or "none"
        raise ConfigError(
            f"there is no {path.name} for the stack {stack} (there: {there}): copy one and change it, or name another "
            "stack"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path.name} is no YAML: {error}") from error
    if not isinstance(said, dict):
        raise ConfigError(f"{path.name} holds no mapping: it begins with `config:` and keys under it")
    return said


def values(said: Mapping[str, Any]) -> dict[str, str]:
    """The configuration in a stack's file, by full key and as text, as Pulumi gives it to a program.

    Encrypted values are left out.
    """
    config = said.get("config") or {}
    return {key: _text(value) for key, value in config.items() if not _encrypted(value)}


def _encrypted(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {ENCRYPTED}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
