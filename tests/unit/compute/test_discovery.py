"""What was decorated is served, or refused with a message; nothing vanishes."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.compute.errors import RegistrationError
from services.compute.registry import load_registry

Load = Callable[[str], object]
HEAD = """\
from __future__ import annotations
import functools
from services.compute import computation
def bare(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
def polite(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
"""
LINES = HEAD.count("\n")


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write a module's text and load it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> object:
        (tmp_path / "vanishing.py").write_text(HEAD + textwrap.dedent(text).lstrip("\n"))
        sys.modules.pop("vanishing", None)
        return load_registry("vanishing")

    yield write
    sys.modules.pop("vanishing", None)


F = "def f(n: int) -> int:\n    return n\n"
VANISHING = {
    "the same name under another name of the decorator": (
        f"from services.compute import computation as c\n@c\n{F}@c\n{F}",
        r":{2}, f: another 'f' in line {5} hides it. Cure: give one of the two another name",
    ),
    "the same name inside an if": (
        "if True:\n" + textwrap.indent(f"@computation\n{F}", "    ") + f"@computation(version='2')\n{F}",
        r":{2}, f: another 'f' in line {5} hides it",
    ),
    "hidden by a plain function": (f"@computation\n{F}{F}", r":{1}, f: another 'f' in line {4} hides it"),
    "hidden by a value": (f"@computation\n{F}f = 3\n", r":{1}, f: 'f' is something else in its module"),
    "deleted": (f"@computation\n{F}del f\n", r":{1}, f: its module has no 'f' any more"),
    "a method": (
        "class A:\n    @computation\n    def f(self, n: int) -> int:\n        return n\n",
        r":{2}, A.f: is a method. Cure: write it as a function",
    ),
    "inside a function": (
        "def make():\n    @computation\n    def f(n: int) -> int:\n        return n\nmake()\n",
        r":{2}, make.<locals>.f: is defined inside a function",
    ),
    "below a decorator without wraps": (
        f"@bare\n@computation\n{F}",
        r":{1}, f: 'f' is something else .* Cure: put @computation above all other decorators",
    ),
    "below a cache": (f"@functools.lru_cache\n@computation\n{F}", r":{1}, f: 'f' is something else"),
    "above a foreign decorator without wraps": (
        f"from tests.unit.compute.test_discovery import foreign\n@computation\n@foreign\n{F}",
        r"test_discovery.py:\d+, foreign.<locals>.replaced: a decorator below @computation in .*vanishing.py .*wraps",
    ),
    "above a decorator without wraps": (f"@computation\n@bare\n{F}", r"takes \*args"),
    "above a cache": (f"@computation\n@functools.cache\n{F}", r":{1}: @computation on .*only plain functions.*Cure"),
    "a name without name=": (f"@computation('x')\n{F}", r":{1}: @computation on 'x': .*options have names"),
    "an unknown option": (
        f"@computation(ttl=3)\n{F}",
        r":{1}: @computation has no option 'ttl'. Cure: its options are name, version, result_ttl",
    ),
}


def foreign(function: object) -> Callable[[int], int]:
    def replaced(n: int) -> int:
        return n

    return replaced


@pytest.mark.parametrize("case", VANISHING)
def test_what_would_vanish_is_refused(load: Load, case: str) -> None:
    text, problem = VANISHING[case]
    for number in range(1, 9):
        problem = problem.replace(f"{{{number}}}", str(LINES + number))
    with pytest.raises(RegistrationError, match=problem):
        load(text)


@pytest.mark.parametrize(
    "text",
    [
        f"@computation\n{F}",
        f"@computation\n@polite\n{F}",
        f"@polite\n@computation\n{F}",
        f"@computation\n{F}g = f\n{F}",
        f"if False:\n    f = 1\nelse:\n    @computation\n{textwrap.indent(F, '    ')}",
        f"def mine(function):\n    return computation(version='1')(function)\n@mine\n{F}",
        f"@computation\n{F}def later():\n    @computation\n    def g() -> int: ...\n",
    ],
)
def test_what_can_be_served_is(load: Load, text: str) -> None:
    assert list(load(text)) == ["f"]  # type: ignore[call-overload]


def test_a_module_that_is_imported_again_begins_anew(load: Load) -> None:
    load(f"@computation\n{F}")
    assert list(load(f"@computation\n{F}")) == ["f"]  # type: ignore[call-overload]
