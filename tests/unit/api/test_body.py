"""Batches taken apart: whatever JSON is in them comes out as it went in."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from services.api.body import split_batch
from services.api.errors import Problem

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(st.lists(VALUES, min_size=1, max_size=8), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_elements_come_out_as_they_went_in(values: list[object], ascii_only: bool, indent: int | str | None) -> None:
    body = json.dumps({"parameters": values}, ensure_ascii=ascii_only, indent=indent)
    if not ascii_only and any("\ud800" <= c <= "\udfff" for c in body):
        return  # no such text has a UTF-8 form
    assert [json.loads(element) for element in split_batch(body.encode(), 8)] == values


@given(st.binary(max_size=200) | st.text(alphabet='{}[]"parmets: ,1\\').map(str.encode))
def test_any_bytes_are_a_batch_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        list(split_batch(body, 10))
