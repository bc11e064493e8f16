from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local.directory import DataDirectory
from services.local.errors import DirectoryInUse, LocalError


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDirectory]:
    held = DataDirectory(tmp_path / "data")
    yield held
    held.close()


def test_it_makes_its_folders_for_the_owner_alone(directory: DataDirectory) -> None:
    for path in (directory.valkey, directory.objects, directory.logs, directory.tmp):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_second_stack_is_refused_and_told_who_and_what_to_do(directory: DataDirectory) -> None:
    (directory.tmp / "spilled").touch()
    with pytest.raises(DirectoryInUse, match=rf"process {os.getpid()}\).*TIDEGATE_DATA or --data"):
        DataDirectory(directory.path)
    assert (directory.tmp / "spilled").exists()


def test_a_directory_that_was_given_up_is_free_again(directory: DataDirectory) -> None:
    directory.close()
    DataDirectory(directory.path).close()


def test_whoever_inherits_the_lock_keeps_it(directory: DataDirectory) -> None:
    heir = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[directory.lock], text=True
    )
    try:
        # As when the stack was killed and its guard still lives: the process that took the lock is gone.
        os.pwrite(directory.lock, b"999999999\n", 0)
        directory.close()
        with pytest.raises(DirectoryInUse):
            DataDirectory(directory.path, patience=0.2)
        heir.communicate("\n", timeout=10)
        DataDirectory(directory.path, patience=0.2).close()
    finally:
        heir.kill()
        heir.wait()


def test_data_survives_and_temporary_files_do_not(directory: DataDirectory) -> None:
    for path in (directory.valkey, directory.objects, directory.tmp):
        (path / "file").touch()
    directory.close()
    again = DataDirectory(directory.path)
    assert (again.valkey / "file").exists()
    assert (again.objects / "file").exists()
    assert not (again.tmp / "file").exists()
    again.close()
    assert not again.tmp.exists()


def test_fresh_forgets_tasks_and_results_and_touches_nothing_else(directory: DataDirectory) -> None:
    (directory.path / "notes.txt").touch()
    for path in (directory.valkey, directory.objects):
        (path / "file").touch()
    directory.close()
    again = DataDirectory(directory.path, fresh=True)
    assert list(again.valkey.iterdir()) == list(again.objects.iterdir()) == []
    assert (again.path / "notes.txt").exists()
    again.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalError, match=r"file/data cannot be used .*TIDEGATE_DATA"):
        DataDirectory(tmp_path / "file" / "data")


@pytest.mark.parametrize("fresh", [False, True])
def test_a_directory_of_somebody_elses_is_refused_and_left_as_it_is(tmp_path: Path, fresh: bool) -> None:
    for name in ("tmp", "valkey", "objects"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LocalError, match=rf"{tmp_path} is not empty.*nothing was touched: set TIDEGATE_DATA or --data"):
        DataDirectory(tmp_path, fresh=fresh)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_directory_is_taken_and_marked(tmp_path: Path) -> None:
    DataDirectory(tmp_path).close()
    (tmp_path / "lock").unlink()
    (tmp_path / "valkey").rmdir()
    DataDirectory(tmp_path).close()


def test_a_directory_of_an_earlier_version_is_adopted(directory: DataDirectory) -> None:
    (directory.valkey / "file").touch()
    directory.close()
    (directory.path / "tidegate").unlink()
    DataDirectory(directory.path).close()
    assert (directory.path / "tidegate").is_file()
    assert (directory.valkey / "file").exists()
