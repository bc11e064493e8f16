"""Results as JSON: what is written, what comes back, what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import dask.array
import numpy as np
import pandas as pd
import pytest
from dask.delayed import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from services.compute import Array, Frame, Series, codec, computation
from services.compute.errors import CodecError
from services.compute.registry import register


class Fit(BaseModel):
    slope: float
    residuals: list[float] = []
    extra: Any = None


@dataclasses.dataclass
class Moments:
    mean: float
    spread: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    values: list[float]


class Span(NamedTuple):
    low: float
    high: float


class Colour(enum.StrEnum):
    RED = "red"


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the adapter that the registry makes of a result type."""

    def returning() -> Any:
        return None

    returning.__annotations__["return"] = kind
    return register(computation(version="1")(returning)).result


def encode(value: object, kind: Any = Any) -> Any:
    return json.loads(codec.encode(value, adapter(kind)), parse_constant=pytest.fail)


NAN = math.nan
PLAIN: list[tuple[Any, Any, Any]] = [
    (int, 10**1000, 10**1000),
    (float, 1, 1.0),
    (float, NAN, "NaN"),
    (float, -math.inf, "-Infinity"),
    (float | None, None, None),
    (None, None, None),
    (str, "é😀", "é😀"),
    (bool, True, True),
    (bytes, b"\xff\x00", "_wA="),
    (Decimal, Decimal("1.50"), "1.50"),
    (dt.datetime, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "2020-01-01T00:00:00Z"),
    (dt.timedelta, dt.timedelta(seconds=90), "PT1M30S"),
    (uuid.UUID, uuid.UUID(int=1), str(uuid.UUID(int=1))),
    (Path, Path("/a"), "/a"),
    (Colour, Colour.RED, "red"),
    (complex, 1 + 2j, "1+2j"),
    (set[int], {1}, [1]),
    (tuple[int, str], (1, "a"), [1, "a"]),
    (Span, Span(1.0, NAN), [1.0, "NaN"]),
    (dict[str, float], {"a": math.inf}, {"a": "Infinity"}),
    (dict[int, float], {1: 2.0}, {"1": 2.0}),
    (list[list[float]], [[1.0, NAN]], [[1.0, "NaN"]]),
    (
        Fit,
        Fit(slope=NAN, residuals=[math.inf], extra=[NAN]),
        {"slope": "NaN", "residuals": ["Infinity"], "extra": ["NaN"]},
    ),
    (Moments, Moments(NAN, {"x": NAN}), {"mean": "NaN", "spread": {"x": "NaN"}}),
    (Any, {"a": [1, 1.5, NAN, None, {"b": dt.date(2020, 1, 1)}]}, {"a": [1, 1.5, "NaN", None, {"b": "2020-01-01"}]}),
]

NUMPY_FIT: dict[str, Any] = {"slope": np.float32(1), "residuals": np.ones(2), "extra": np.int8(1)}

HEAVY: list[tuple[Any, Callable[[], Any], Any]] = [
    (int, lambda: np.int64(3), 3),
    (int, lambda: np.uint64(2**64 - 1), 2**64 - 1),
    (float, lambda: np.float32(0.5), 0.5),
    (float, lambda: np.float64(NAN), "NaN"),
    (bool, lambda: np.True_, True),
    (str, lambda: np.str_("a"), "a"),
    (dt.datetime, lambda: np.datetime64("2020-01-01T00:00:00.5"), "2020-01-01T00:00:00.500000"),
    (Any, lambda: np.datetime64("2020-01-01T00:00:00.123456789"), "2020-01-01T00:00:00.123456789"),
    (Any, lambda: np.datetime64("NaT", "s"), None),
    (Any, lambda: np.timedelta64(90, "s"), "PT1M30S"),
    (Any, lambda: np.timedelta64("NaT", "s"), None),
    (Array, lambda: np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
    (Array, lambda: np.array([1.0, NAN, -np.inf]), [1.0, "NaN", "-Infinity"]),
    (Array, lambda: np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"), ["2020-01-01", None]),
    (Array, lambda: np.array([{"a": np.int8(1)}, None], dtype=object), [{"a": 1}, None]),
    (Array, lambda: np.ma.masked_array([1, 2], [False, True]), [1, None]),
    (list[float], lambda: np.array([1, 2]), [1.0, 2.0]),
    (list[list[float]], lambda: np.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
    (tuple[float, ...], lambda: np.array([1.5]), [1.5]),
    (dict[str, list[float]], lambda: {"a": np.array([NAN])}, {"a": ["NaN"]}),
    (dict[str, float], lambda: {np.str_("a"): np.float32(1)}, {"a": 1.0}),
    (Fit, lambda: Fit.model_construct(**NUMPY_FIT), {"slope": 1.0, "residuals": [1.0, 1.0], "extra": 1}),
    (Moments, lambda: Moments(np.float64(1), np.array([NAN])), {"mean": 1.0, "spread": ["NaN"]}),
    (Frozen, lambda: Frozen(np.array([1.0])), {"values": [1.0]}),  # type: ignore[arg-type]
    (Span, lambda: Span(np.float32(1), np.float32(2)), [1.0, 2.0]),  # type: ignore[arg-type]
    (list[Any], lambda: [np.zeros(1), "a", (np.int8(1),)], [[0.0], "a", [1]]),
    (
        Any,
        lambda: {"deep": [{"frame": pd.DataFrame({"a": [1]})}]},
        {"deep": [{"frame": {"columns": ["a"], "index": [0], "data": [[1]]}}]},
    ),
    (
        Frame,
        lambda: pd.DataFrame({"a": [1, 2], "b": [0.5, NAN]}, index=["x", "y"]),
        {"columns": ["a", "b"], "index": ["x", "y"], "data": [[1, 0.5], [2, "NaN"]]},
    ),
    (Frame, lambda: pd.DataFrame({"s": ["a", None]}), {"columns": ["s"], "index": [0, 1], "data": [["a"], [None]]}),
    (
        Frame,
        lambda: pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}),
        {"columns": ["n"], "index": [0, 1], "data": [[1], [None]]},
    ),
    (
        Frame,
        lambda: pd.DataFrame({"c": pd.Categorical(["a", "b"])}),
        {"columns": ["c"], "index": [0, 1], "data": [["a"], ["b"]]},
    ),
    (
        Frame,
        lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
        {"columns": ["a", "a"], "index": [0], "data": [[1, 2]]},
    ),
    (Frame, lambda: pd.DataFrame(index=[0, 1]), {"columns": [], "index": [0, 1], "data": [[], []]}),
    (
        Frame,
        lambda: pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([("x", 1)])),
        {"columns": ["a"], "index": [["x", 1]], "data": [[1]]},
    ),
    (
        Frame,
        lambda: pd.DataFrame({"t": [pd.Timestamp("2020-01-01"), pd.NaT]}),
        {"columns": ["t"], "index": [0, 1], "data": [["2020-01-01T00:00:00"], [None]]},
    ),
    (Series, lambda: pd.Series([1.0, NAN], name="v"), {"name": "v", "index": [0, 1], "data": [1.0, "NaN"]}),
    (
        Series,
        lambda: pd.Series([1], index=pd.period_range("2020-01", periods=1, freq="M")),
        {"name": None, "index": ["2020-01"], "data": [1]},
    ),
    (list[str], lambda: pd.Index(["a"]), ["a"]),
    (Any, lambda: pd.date_range("2020-01-01", periods=1), ["2020-01-01T00:00:00"]),
    (
        Any,
        lambda: [pd.NA, pd.NaT, pd.Timestamp("2020-01-01", tz="UTC"), pd.Timedelta("90s")],
        [None, None, "2020-01-01T00:00:00+00:00", "P0DT0H1M30S"],
    ),
    (dt.datetime, lambda: pd.Timestamp("2020-01-01"), "2020-01-01T00:00:00"),
]


@pytest.mark.parametrize(("kind", "value", "written"), PLAIN, ids=str)
def test_plain_values(kind: Any, value: Any, written: Any) -> None:
    assert encode(value, kind) == written


@pytest.mark.parametrize(("kind", "make", "written"), HEAVY, ids=lambda value: str(value)[:40])
def test_what_numpy_and_pandas_make(kind: Any, make: Callable[[], Any], written: Any) -> None:
    assert encode(make(), kind) == written


class Odd:
    pass


def looped() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(5000):
        made = [made]
    return made


REFUSED: list[tuple[Any, Callable[[], Any], str]] = [
    (Any, Odd, r"of type tests.*test_codec\.Odd, has no JSON form.*Unable to serialize unknown type"),
    (dict[str, Any], lambda: {"lock": threading.Lock()}, "Unable to serialize unknown type"),
    (int, lambda: "3", "Expected `int`"),
    (int, lambda: 3.5, "Expected `int`"),
    (float, lambda: "x", "Expected `float`"),
    (list[float], lambda: [1.0, "x"], "Expected `float`"),
    (tuple[int, ...], lambda: [1], "Expected `tuple"),
    (Fit, lambda: {"slope": 1.0}, "Expected `Fit`"),
    (int, lambda: np.float64(0.5), "valid integer"),
    (list[float], lambda: np.eye(2), r"valid number \(at 0\)"),
    (None, lambda: 3, "Expected `none`"),
    (Frame, lambda: {"a": [1]}, "no DataFrame"),
    (Frame, lambda: np.eye(2), "no DataFrame"),
    (Series, lambda: pd.DataFrame({"a": [1]}), "no Series"),
    (Array, lambda: "text", "no array"),
    (Any, looped, "holds itself"),
    (Any, deep, "deep"),
    (str, lambda: "\ud800", "surrogate"),
    (Any, lambda: {"x": np.dtype("int8")}, "unknown type"),
]


@pytest.mark.parametrize(("kind", "make", "problem"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_has_no_json_form(kind: Any, make: Callable[[], Any], problem: str) -> None:
    with pytest.raises(CodecError, match=problem) as caught:
        codec.encode(make(), adapter(kind))
    assert len(str(caught.value)) < 1500


COLLECTIONS: list[tuple[Any, Callable[[], Any]]] = [
    (tuple[float, float], lambda: (dask.array.ones(2).sum(), 1.0)),
    (dict[str, Any], lambda: {"a": [delayed(int)(1)]}),
    (Any, lambda: delayed(int)(1)),
    (Fit, lambda: Fit.model_construct(slope=delayed(float)(1))),
]


@pytest.mark.parametrize(("kind", "make"), COLLECTIONS, ids=str)
def test_collections_inside_a_result_are_explained(kind: Any, make: Callable[[], Any]) -> None:
    with pytest.raises(CodecError, match=r"Dask collection .*: return one collection, or dask\.delayed\(\.\.\.\) of"):
        codec.encode(make(), adapter(kind))


@given(st.lists(st.floats()), st.floats())
@settings(deadline=None)
def test_floats_survive_the_round_trip(values: list[float], slope: float) -> None:
    for kind, value in ((list[float], values), (Fit, Fit(slope=slope, residuals=values))):
        made = adapter(kind)
        again = codec.decode(codec.encode(value, made), made)
        assert repr(again) == repr(value)


@given(st.lists(st.integers()))
@settings(deadline=None)
def test_integers_survive_with_all_digits(values: list[int]) -> None:
    made = adapter(list[int])
    assert codec.decode(codec.encode(values, made), made) == values


def test_arrays_and_frames_come_back_as_documented() -> None:
    values = np.array([[1.0, NAN], [np.inf, -np.inf]])
    made = adapter(Array)
    again = np.array(codec.decode(codec.encode(values, made), made), dtype=float)
    np.testing.assert_array_equal(again, values)
    frame = pd.DataFrame({"a": [1.5, NAN]}, index=["x", "y"])
    made = adapter(Frame)
    read = pd.DataFrame(**codec.decode(codec.encode(frame, made), made)).astype(float)
    pd.testing.assert_frame_equal(read, frame, check_index_type=False)


def test_what_is_no_result_is_refused() -> None:
    for data in (b"", b"{", b'"x"', b"[1]"):
        with pytest.raises(CodecError, match="no result of type int"):
            codec.decode(data, adapter(int))


def test_the_result_is_left_as_it_was() -> None:
    frozen = Frozen(np.array([1.0]))  # type: ignore[arg-type]
    codec.encode(frozen, adapter(Frozen))
    assert isinstance(frozen.values, np.ndarray)


def test_a_result_within_its_constraints() -> None:
    assert encode(5, Annotated[int, Field(ge=0)]) == 5


def test_a_result_fits_its_schema() -> None:
    schema = adapter(Fit).json_schema(mode="serialization")
    assert schema["properties"]["slope"]["type"] == "number"
