"""What the bench makes of its measurements; the sides are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import bench.__main__ as bench
from bench.figures import FIGURES, Figure, Measured, Target


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return who was measured, in order; the table goes to a README in `tmp_path`."""
    made: list[str] = []

    @contextmanager
    def running(folder: Path) -> Iterator[Target]:
        yield Target(1, 2, "tcp://nowhere")

    async def ours(target: Target) -> Measured:
        made.append("ours")
        return Measured(10.0 * len(made), 7.0)

    async def reference(target: Target) -> Measured:
        made.append("reference")
        return Measured(10.0)

    monkeypatch.setattr(bench, "running", running)
    for name in list(FIGURES):
        monkeypatch.delitem(FIGURES, name)
    monkeypatch.setitem(FIGURES, "one", Figure(ours, reference, "ours (1/s)", "theirs (1/s)", "of these"))
    monkeypatch.setitem(FIGURES, "two", Figure(ours, reference, "more (1/s)", "less (1/s)"))
    readme = tmp_path / "README.md"
    readme.write_text("head\n<!-- results -->\n\nold\n\n<!-- /results -->\ntail\n")
    monkeypatch.setattr(bench, "README", readme)
    return made


def test_the_table_is_written_when_every_figure_was_measured(calls: list[str]) -> None:
    assert bench.main(["--rounds", "2"]) == 0
    text = bench.README.read_text()
    assert text.startswith("head\n<!-- results -->\n\n2")
    assert text.endswith("\n\n<!-- /results -->\ntail\n")
    assert "old" not in text
    assert "| ours (1/s) |" in text
    assert "| more (1/s) |" in text


@pytest.mark.parametrize("arguments", [["one"], ["--no-write"]])
def test_else_it_is_only_printed(calls: list[str], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([*arguments, "--rounds", "1"]) == 0
    assert bench.README.read_text() == "head\n<!-- results -->\n\nold\n\n<!-- /results -->\ntail\n"
    assert "| ours (1/s) |" in capsys.readouterr().out


def test_the_sides_take_turns_in_going_first(calls: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["one", "--rounds", "3"]) == 0
    assert calls == 2 * ["ours", "reference"] + ["reference", "ours"] + ["ours", "reference"]
    said = capsys.readouterr().out
    # Per round: 30 / 10, 60 / 10, 70 / 10.
    assert "| ours (1/s) | 60.0 | 10.0 | theirs (1/s) | 6.00 | 3.00-7.00 |" in said
    assert "| – of these | 7.0 | | | | |" in said
