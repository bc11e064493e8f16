"""What every object store does: the same tests for a directory and for S3 (moto, in this process)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.compute.errors import ObjectStoreError
from services.objects import AsyncObjects, ObjectMissing, ObjectStore, open_object_store

KEY = "fibonacci-0123456789abcdef0123456789abcdef/1700000000000001"


@pytest.fixture(params=["directory", "s3", "s3 without a prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "directory":
        yield open_object_store((tmp_path / "objects").as_uri())
        return
    with s3(request) as client:
        client.create_bucket(Bucket="results")
        yield open_object_store("s3://results/tide/gate/" if request.param == "s3" else "s3://results")


def s3(request: pytest.FixtureRequest) -> Any:
    """Start moto's S3, with credentials of its own."""
    import contextlib

    import boto3
    from moto import mock_aws

    patch = request.getfixturevalue("monkeypatch")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        patch.setenv(name, value)

    @contextlib.contextmanager
    def started() -> Iterator[Any]:
        with mock_aws():
            yield boto3.client("s3")

    return started()


@pytest.mark.parametrize("data", [b"", b"[1,2]", bytes(range(256)) * 10_000])
def test_what_was_put_can_be_got(store: ObjectStore, data: bytes) -> None:
    assert store.put(KEY, data, ttl=60) == KEY
    assert store.get(KEY) == data
    with store.open(KEY) as reader:
        assert reader.size == len(data)
        assert b"".join(reader) == data


def test_reading_in_pieces(store: ObjectStore) -> None:
    store.put(KEY, b"abcdef")
    reader = store.open(KEY)
    assert (reader.read(4), reader.read(4), reader.read(4)) == (b"abcd", b"ef", b"")
    reader.close()


def test_putting_again_replaces(store: ObjectStore) -> None:
    store.put(KEY, b"old and longer")
    store.put(KEY, b"new")
    assert store.get(KEY) == b"new"


def test_what_is_missing_is_said_to_be(store: ObjectStore) -> None:
    for read in (store.get, store.open):
        with pytest.raises(ObjectMissing, match="there is no object 'nothing/here'"):
            read("nothing/here")


def test_deleting(store: ObjectStore) -> None:
    store.put(KEY, b"x")
    store.put("fibonacci-0123456789abcdef0123456789abcdef/2", b"y")
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(ObjectMissing):
        store.get(KEY)
    assert store.get("fibonacci-0123456789abcdef0123456789abcdef/2") == b"y"


BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    "a/..",
    ".a",
    "a/.b",
    "a\\b",
    "a b",
    "a\n",
    "é",
    "a" * 600,
]


def test_keys_that_lead_elsewhere(store: ObjectStore) -> None:
    for key in BAD_KEYS:
        for call in (store.get, store.open, store.presign, store.delete, lambda bad: store.put(bad, b"x")):
            with pytest.raises(ObjectStoreError, match="is no key of an object"):
                call(key)


def test_an_address_if_any_is_of_the_object(store: ObjectStore) -> None:
    store.put(KEY, b"x")
    address = store.presign(KEY, ttl=60)
    if address is not None:
        assert KEY in address
        assert "X-Amz-Expires=60" in address
        assert "X-Amz-Signature=" in address


def test_sweeping_leaves_what_is_not_expired(store: ObjectStore) -> None:
    store.put(KEY, b"x", ttl=60)
    assert store.sweep() == 0
    assert store.get(KEY) == b"x"


def test_many_threads(store: ObjectStore) -> None:
    done: list[str] = []

    def work(number: int) -> None:
        for turn in range(5):
            key = f"task-{number}/{turn}"
            store.put(key, key.encode())
            assert store.get(key) == key.encode()
            done.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(done) == 20


async def test_asynchronous_reading(store: ObjectStore) -> None:
    data = bytes(3_000_000)
    store.put(KEY, data)
    objects = AsyncObjects(store)
    assert await objects.open("nothing") is None
    chunks = await objects.open(KEY)
    assert chunks is not None
    assert b"".join([chunk async for chunk in chunks]) == data
    assert await objects.presign(KEY) == store.presign(KEY) or await objects.presign(KEY)
    assert await objects.sweep() == 0


def test_s3_that_fails_says_so(request: pytest.FixtureRequest) -> None:
    with s3(request):
        store = open_object_store("s3://not-there/prefix")
        for call in (store.get, lambda key: store.put(key, b"x"), store.delete):
            with pytest.raises(
                ObjectStoreError, match=r"in s3://not-there/prefix/: .*NoSuchBucket.*Check the bucket"
            ) as caught:
                call(KEY)
            assert not isinstance(caught.value, ObjectMissing)


@pytest.mark.parametrize(
    "url", ["", "/directory", "file://", "file:///", "file://host/directory", "file:relative", "s3://", "http://host/x"]
)
def test_addresses_of_no_store(url: str) -> None:
    with pytest.raises(ObjectStoreError, match=r"OBJECT_STORE='.*' names no"):
        open_object_store(url)
