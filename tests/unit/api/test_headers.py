"""`Prefer`, `Cache-Control` and `If-None-Match`, as their RFCs spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.headers import WAIT_MAX, Wishes, matches_etag, parse_wait, read_wishes


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=10; foo=bar", 10),
        ("wait=5, wait=7", 5),
        ("wait=x, wait=7", 7),
        ("wait=0", 0),
        ("wait=31", WAIT_MAX),
        ("wait=99999999999999999999999999", WAIT_MAX),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=²", None),
        ("waiting=5", None),
        ("", None),
    ],
)
def test_wait(value: str, seconds: int | None) -> None:
    assert parse_wait(value) == seconds


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_bytes_are_headers(prefer: bytes, control: bytes) -> None:
    wishes = read_wishes([(b"prefer", prefer), (b"cache-control", control)])
    assert wishes.wait is None or 0 <= wishes.wait <= WAIT_MAX


def test_wishes() -> None:
    assert read_wishes([]) == Wishes(None, False)
    assert read_wishes([(b"cache-control", b"No-Cache")]).force
    assert not read_wishes([(b"cache-control", b"no-store")]).force
    assert read_wishes([(b"prefer", b"respond-async"), (b"prefer", b"wait=3")]).wait == 3
    assert read_wishes([(b"content-type", b"text/plain")], json=False) == Wishes(None, False)


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"1"', True),
        ('W/"1"', True),
        ('"0" ,"1"', True),
        ("*", True),
        (" * ", True),
        ('"2"', False),
        ("1", False),
        ("", False),
    ],
)
def test_etags(header: str, matches: bool) -> None:
    assert matches_etag(header, '"1"') is matches
