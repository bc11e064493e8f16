"""Results are held to their declared type, and types that would be written without a part of them are refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    JsonValue,
    PastDate,
    PlainSerializer,
    PlainValidator,
    RootModel,
    SecretStr,
    WithJsonSchema,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from services.compute import Array, Frame, Series, codec, computation
from services.compute.errors import CodecError, RegistrationError
from services.compute.registry import register
from tests.unit.compute.test_codec import adapter, encode

T = TypeVar("T")


class Point(BaseModel):
    x: float
    label: Literal["a", "b"] = "a"
    inner: Point | None = None


class Renamed(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: Annotated[int, Field(validation_alias=AliasChoices("u", "v"), serialization_alias="written")]

    @computed_field
    def double(self) -> int:
        return 2 * self.x


class Once(BaseModel):
    """Validators that do not take their own output, and must not run again."""

    x: Annotated[int, BeforeValidator(lambda text: int(text.removeprefix("n=")))]
    y: str = ""

    @field_validator("y")
    @classmethod
    def longer(cls, value: str) -> str:
        assert not value.endswith("!")
        return f"{value}!"

    @model_validator(mode="before")
    @classmethod
    def only_dicts(cls, data: Any) -> Any:
        assert isinstance(data, dict)
        return data


class Cat(BaseModel):
    kind: Annotated[Literal["cat"], Field(alias="type")] = "cat"


class Dog(BaseModel):
    kind: Annotated[Literal["dog"], Field(alias="type")] = "dog"


class Holder(BaseModel, Generic[T]):
    held: T


@dataclasses.dataclass(slots=True)
class Moments:
    mean: float
    counted: int = dataclasses.field(default=1, init=False)
    next: Moments | None = None


@pydantic_dataclass
class Checked:
    n: int


class Row(TypedDict, total=False):
    a: Annotated[int, Field(alias="b")]


class Full(TypedDict):
    a: int
    b: float | None


class Celsius:
    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


Warm = Annotated[
    Celsius,
    PlainValidator(lambda text: Celsius(float(text))),
    PlainSerializer(lambda celsius: celsius.degrees),
    WithJsonSchema({"type": "number"}),
]
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
FITTING: list[tuple[Any, Any, Any]] = [
    (
        Point,
        Point(x=1, inner=Point(x=2, label="b")),
        {"x": 1.0, "label": "a", "inner": {"x": 2.0, "label": "b", "inner": None}},
    ),
    (Renamed, Renamed(v=2), {"written": 2, "double": 4}),  # type: ignore[call-arg]
    (list[Once], [Once(x="n=1", y="a")], [{"x": 1, "y": "a!"}]),
    (list[Pet], [Cat(), Dog()], [{"type": "cat"}, {"type": "dog"}]),
    (Holder[list[int]], Holder[list[int]](held=[1]), {"held": [1]}),
    (RootModel[dict[str, int]], RootModel[dict[str, int]]({"a": 1}), {"a": 1}),
    (
        Moments,
        Moments(1.0, Moments(2.0)),
        {"mean": 1.0, "counted": 1, "next": {"mean": 2.0, "counted": 1, "next": None}},
    ),
    (Checked, Checked(1), {"n": 1}),
    (Row, {"a": 1}, {"b": 1}),
    (Row, {}, {}),
    (Row, {"a": np.int8(1)}, {"b": 1}),
    (Full, {"a": 1, "b": None}, {"a": 1, "b": None}),
    (Warm, Celsius(3.0), 3.0),
    (Annotated[dt.datetime, PlainSerializer(lambda t: t.timestamp())], dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 0.0),
    (Annotated[int, AfterValidator(lambda n: n + 1 if n < 9 else 1 / 0)], 9, 9),
    (Sequence[int], (1, 2), [1, 2]),
    (Mapping[str, float], {"a": 1.0}, {"a": 1.0}),
    (JsonValue, {"a": [None, 1]}, {"a": [None, 1]}),
    (Json[list[int]], [1], [1]),
    (Base64Bytes, b"hi", None),
    (AnyUrl, AnyUrl("http://a/"), "http://a/"),
    (HttpUrl, HttpUrl("http://a/"), "http://a/"),
    (ipaddress.IPv4Address, ipaddress.IPv4Address("1.2.3.4"), "1.2.3.4"),
    (PastDate, dt.date(2020, 1, 1), "2020-01-01"),
    (Annotated[Decimal, Field(ge=0)], Decimal(1), "1"),
    (Path | None, None, None),
    (int | str | None, "a", "a"),
    (Literal["a", 1], 1, 1),
    (Any, None, None),
    (list[Any], [None], [None]),
    (dict[str, Any] | list[float | None], [None, 1.0], [None, 1.0]),
]


@pytest.mark.parametrize(("kind", "value", "written"), FITTING, ids=lambda value: getattr(value, "__name__", None))
def test_what_fits_is_written(kind: Any, value: Any, written: Any) -> None:
    found = encode(value, kind)
    assert written is None or found == written


def test_an_iterator_is_read_once() -> None:
    assert encode((n for n in range(3)), Iterable[int]) == [0, 1, 2]


UNFIT: list[tuple[Any, Any, str]] = [
    (int, None, "valid integer. Was `return` forgotten"),
    (str, None, "Was `return` forgotten"),
    (list[float], None, "Was `return` forgotten"),
    (Point, None, "Was `return` forgotten"),
    (Array, None, "no array"),
    (Frame, None, "no DataFrame"),
    (Series, None, "no Series"),
    (Moments, None, "Was `return` forgotten"),
    (list[float], [1.0, None], r"\(at 1\)"),
    (dict[str, int], {"a": None}, r"\(at a\)"),
    (tuple[int, str], (None, "a"), r"\(at 0\)"),
    (Literal["a", "b"], "c", "'a' or 'b'"),
    (list[Literal["a"]], ["b"], r"\(at 0\)"),
    (Moments, Moments(None), r"\(at mean\)"),  # type: ignore[arg-type]
    (Moments, Moments(1.0, Moments(None)), r"\(at next.mean\)"),  # type: ignore[arg-type]
    (Point, Point.model_construct(x=None), r"\(at x\)"),  # type: ignore[arg-type]
    (Point, Point.model_construct(x=1.0, label="c"), r"\(at label\)"),  # type: ignore[arg-type]
    (Holder[int], Holder[int].model_construct(held=None), r"\(at held\)"),  # type: ignore[arg-type]
    (RootModel[int], RootModel[int].model_construct(None), "valid integer"),  # type: ignore[arg-type]
    (Full, {"a": 1}, r"Field required \(at b\)"),
    (Annotated[int, Field(gt=0)], -1, "greater than 0"),
]


@pytest.mark.parametrize(("kind", "value", "problem"), UNFIT, ids=lambda value: getattr(value, "__name__", None))
def test_what_breaks_the_promise_is_refused(kind: Any, value: Any, problem: str) -> None:
    with pytest.raises(CodecError, match=problem):
        codec.encode(value, adapter(kind))


def test_a_none_that_numpy_made_is_refused() -> None:
    with pytest.raises(CodecError, match=r"\(at 0\)"):
        codec.encode(np.array(["NaT"], dtype="datetime64[s]"), adapter(list[dt.datetime]))


class Secretive(BaseModel):
    key: SecretStr


class Excluding(BaseModel):
    shown: int
    hidden: Annotated[int, Field(exclude=True)] = 0


@dataclasses.dataclass
class Partial:
    hidden: Annotated[int, Field(exclude=True)] = 0


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (SecretStr, "its result is a secret"),
        (dict[str, list[Secretive]], "field 'key' of its result is a secret"),
        (Excluding | None, "field 'hidden' of its result is excluded"),
        (list[Partial], "field 'hidden' of its result is excluded"),
    ],
)
def test_types_that_would_lose_a_part_are_refused_at_start(kind: Any, problem: str) -> None:
    def returning() -> Any: ...

    returning.__annotations__["return"] = kind
    with pytest.raises(RegistrationError, match=f"returning: {problem}.*Cure"):
        register(computation(version="1")(returning))
