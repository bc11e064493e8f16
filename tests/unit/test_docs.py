"""The documents say what is: each setting is described, links lead somewhere, the README's commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.settings_tables import DOCUMENT, documented, own_fields, settings_classes, table

ROOT = DOCUMENT.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", sorted(settings_classes()))
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    tables = documented(DOCUMENT.read_text(encoding="utf-8"))
    assert name in tables, f"docs/configuration.md lacks the settings of {name}: run `make docs`"
    assert tables[name] == table(settings_classes()[name]), f"the table of {name} is not current: run `make docs`"


def test_the_document_names_no_setting_that_does_not_exist() -> None:
    tables = documented(DOCUMENT.read_text(encoding="utf-8"))
    assert tables.keys() <= settings_classes().keys()
    real = {variable for cls in settings_classes().values() for variable in own_fields(cls)}
    named = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= real


def test_every_setting_has_a_description() -> None:
    silent = [
        f"{name}: {variable}"
        for name, cls in settings_classes().items()
        for variable, field in own_fields(cls).items()
        if not field.description
    ]
    assert silent == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


def _anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_sections_lead_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([\w-]+)\)", page.read_text(encoding="utf-8"))
    targets = [((page.parent / target).resolve() if target else page, anchor) for target, anchor in links]
    assert [f"{target.name}#{anchor}" for target, anchor in targets if anchor not in _anchors(target)] == []


def test_the_make_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named <= targets
