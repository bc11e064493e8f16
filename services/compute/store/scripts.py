"""The Lua scripts as the server gets them: the shared prelude before each, named by their SHA-1.

A script's text is the same in every process of a version, so the server keeps one copy of each.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.compute.store.records import FIELDS

_LUA = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script.

    Attributes:
        name: of its file, without the ending.
        text: what the server runs.
        sha: what EVALSHA calls it by.
    """

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script in `lua/<name>.lua`, read once per process."""
    fields = ", ".join(f"'{field}'" for field in FIELDS)
    prelude = (_LUA / "prelude.lua").read_text(encoding="utf-8").replace("'@FIELDS'", fields)
    text = prelude + (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
