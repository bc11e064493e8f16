"""Presigned addresses, which no server is asked for: they lead to the bucket's own region."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from services.objects import open_object_store


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


def host(monkeypatch: pytest.MonkeyPatch, region: str) -> str:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_REGION", region)
    address = open_object_store("s3://results/tide").presign("a/b")
    assert address is not None
    assert urlsplit(address).path == "/tide/a/b"
    return urlsplit(address).netloc


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("us-east-1", "results.s3.amazonaws.com"),
        ("eu-central-1", "results.s3.eu-central-1.amazonaws.com"),
        ("cn-north-1", "results.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_bucket_is_addressed_where_it_is(monkeypatch: pytest.MonkeyPatch, region: str, name: str) -> None:
    assert host(monkeypatch, region) == name


def test_another_server_is_addressed_as_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://storage.example:9000")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    address = open_object_store("s3://results/tide").presign("a/b")
    assert address is not None
    assert address.startswith("http://storage.example:9000/results/tide/a/b?")
