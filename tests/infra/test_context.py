"""Tags of images: they change with what goes into the image, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.components.images import ROOT
from infra.context import ContextError, tag

DOCKERFILE = "services/api/Dockerfile"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        DOCKERFILE: "FROM x\nCOPY requirements.txt *.whl /tmp/\nCOPY --chown=1:1 code \\\n  more /app/\n"
        "COPY --from=other /y /y\n",
        ".dockerignore": "*\n!requirements.txt\n!*.whl\n!code\n!more\n**/__pycache__\n",
        "requirements.txt": "a==1\n",
        "code/a.py": "1\n",
        "code/__pycache__/a.pyc": "x",
        "more/b.py": "2\n",
        "other/c.py": "3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["code/a.py", "more/b.py", "requirements.txt", DOCKERFILE])
def test_what_goes_in_changes_the_tag(root: Path, name: str) -> None:
    before = tag(root, DOCKERFILE, {})
    (root / name).write_text((root / name).read_text() + "# x\n")
    assert tag(root, DOCKERFILE, {}) != before


@pytest.mark.parametrize("name", ["other/c.py", "code/__pycache__/a.pyc", "new.txt"])
def test_what_does_not_go_in_does_not(root: Path, name: str) -> None:
    before = tag(root, DOCKERFILE, {})
    (root / name).write_text("something else")
    assert tag(root, DOCKERFILE, {}) == before


def test_a_wheel_that_is_laid_down_goes_in(root: Path) -> None:
    before = tag(root, DOCKERFILE, {})
    (root / "mine.whl").write_text("x")
    assert tag(root, DOCKERFILE, {}) != before


def test_names_modes_and_arguments_count(root: Path) -> None:
    tags = {tag(root, DOCKERFILE, {}), tag(root, DOCKERFILE, {"platform": "linux/arm64"})}
    (root / "code/a.py").chmod(0o755)
    tags.add(tag(root, DOCKERFILE, {}))
    (root / "code/a.py").rename(root / "code/z.py")
    tags.add(tag(root, DOCKERFILE, {}))
    assert len(tags) == 4


def test_what_is_missing_is_named(root: Path) -> None:
    with pytest.raises(ContextError, match="no services/worker/Dockerfile"):
        tag(root, "services/worker/Dockerfile", {})
    (root / "requirements.txt").unlink()
    with pytest.raises(ContextError, match=r"copies requirements\.txt"):
        tag(root, DOCKERFILE, {})


@pytest.mark.parametrize("service", ["api", "autoscaler", "worker"])
def test_our_own_images_have_tags(service: str) -> None:
    assert len(tag(ROOT, f"services/{service}/Dockerfile", {})) == 16
