"""What only the directory does: expiry by the clock, writing whole files, sweeping up."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from services.compute.errors import ObjectStoreError
from services.objects import ObjectMissing, open_object_store
from services.objects.directory import DirectoryObjectStore


class Clock:
    """Seconds since 1970, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> DirectoryObjectStore:
    return DirectoryObjectStore(tmp_path / "objects", clock)


def files(tmp_path: Path) -> list[str]:
    root = tmp_path / "objects"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_expiry(store: DirectoryObjectStore, clock: Clock, tmp_path: Path) -> None:
    store.put("a/1", b"short", ttl=10)
    store.put("a/2", b"long", ttl=100)
    store.put("b/1", b"short", ttl=10)
    clock.now += 9
    assert store.get("a/1") == b"short"
    assert store.sweep() == 0
    clock.now += 2
    with pytest.raises(ObjectMissing):
        store.get("a/1")
    assert store.sweep() == 2
    assert files(tmp_path) == ["a", "a/2"]
    clock.now += 100
    assert store.sweep() == 1
    assert files(tmp_path) == []
    store.put("a/1", b"anew")
    assert store.get("a/1") == b"anew"


def test_putting_again_lengthens_the_life(store: DirectoryObjectStore, clock: Clock) -> None:
    store.put("a", b"x", ttl=10)
    clock.now += 9
    store.put("a", b"x", ttl=10)
    clock.now += 9
    assert store.sweep() == 0
    assert store.get("a") == b"x"


def test_what_dead_writers_leave_is_swept_later(store: DirectoryObjectStore, clock: Clock, tmp_path: Path) -> None:
    left = tmp_path / "objects" / ".part-dead"
    left.write_bytes(b"half")
    os.utime(left, (clock.now, clock.now))
    clock.now += 3000
    assert store.sweep() == 0
    assert left.exists()
    clock.now += 1000
    assert store.sweep() == 0
    assert not left.exists()


def test_a_failed_write_leaves_nothing(
    store: DirectoryObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a/1", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ObjectStoreError, match=r"'a/1' cannot be written in .*No space left on device.*has room"):
        store.put("a/1", b"after")
    monkeypatch.undo()
    assert store.get("a/1") == b"before"
    assert files(tmp_path) == ["a", "a/1"]


def test_deleting_the_last_removes_the_directory(store: DirectoryObjectStore, tmp_path: Path) -> None:
    store.put("a/b/1", b"x")
    store.delete("a/b/1")
    assert files(tmp_path) == []
    assert (tmp_path / "objects").is_dir()


def test_a_key_may_not_be_a_directory_as_well(store: DirectoryObjectStore) -> None:
    store.put("a", b"x")
    with pytest.raises(ObjectStoreError, match="cannot be written"):
        store.put("a/b", b"x")
    with pytest.raises(ObjectMissing):
        store.get("a/b")
    store.delete("a/b")
    assert store.get("a") == b"x"


def test_files_are_the_owners_alone(store: DirectoryObjectStore, tmp_path: Path) -> None:
    store.put("a/1", b"x")
    assert stat.S_IMODE((tmp_path / "objects" / "a" / "1").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "objects" / "a").stat().st_mode) == 0o700


def test_who_reads_sees_whole_objects(store: DirectoryObjectStore) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        for turn in range(20):
            store.put(f"task/{turn % 2}", b"%d" % number * 100_000)
            read = store.get(f"task/{turn % 2}")
            assert len(read) == 100_000
            assert len(set(read)) == 1
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(done) == [0, 1, 2, 3]


def test_addresses_are_decoded(tmp_path: Path) -> None:
    open_object_store((tmp_path / "with space").as_uri()).put("a", b"x")
    assert (tmp_path / "with space" / "a").read_bytes() == b"x"


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ObjectStoreError, match="Check that the directory of OBJECT_STORE exists"):
        open_object_store((tmp_path / "file").as_uri())
