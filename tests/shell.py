"""The commands in a document: what stands in its code blocks and between backticks, taken apart as a shell would."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator

PUNCTUATION = "();|&<>"
KEYWORDS = frozenset(["do", "done", "for", "then", "fi", "if"])
_FENCED = re.compile(r"^ *```[a-z]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_INNER = re.compile(r"\$\(([^()]*)\)")


def blocks(document: str) -> list[str]:
    """Its code blocks."""
    return [textwrap.dedent(block) for block in _FENCED.findall(document)]


def commands(document: str, program: str) -> list[list[str]]:
    """The words of every call of a program, its name left out."""
    pieces = [*blocks(document), *_INLINE.findall(_FENCED.sub("", document))]
    found = []
    for piece in pieces:
        for line in piece.replace("\\\n", " ").splitlines():
            if program in line:
                found += [words[1:] for words in _split(line) if words[:1] == [program]]
    return found


def _split(line: str) -> Iterator[list[str]]:
    """Simple commands of a line, those inside `$(…)` too."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=PUNCTUATION)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for token in lexer:
        if set(token) <= set(PUNCTUATION):
            yield words
            words = []
            continue
        for inner in _INNER.findall(token):
            yield from _split(inner)
        if token not in KEYWORDS or words:
            words.append(token)
    yield words


def flags(words: list[str]) -> set[str]:
    """The long options of a command, without their values."""
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def value(words: list[str], flag: str) -> str | None:
    """What follows an option."""
    return words[words.index(flag) + 1] if flag in words[:-1] else None
