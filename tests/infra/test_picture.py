from __future__ import annotations

from tests.infra.picture import DOCUMENT, rewrite


def test_the_picture_of_the_stack_is_the_programs_own() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == rewrite(text), "docs/architecture.md shows another stack than infra/ makes: run `make docs`"
