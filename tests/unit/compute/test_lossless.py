"""Parameter types whose JSON form loses information are refused at start, and values that do so at the request."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import random
import re
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    Base64Bytes,
    Base64Str,
    Base64UrlBytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    HttpUrl,
    ImportString,
    Json,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    PositiveInt,
    Secret,
    SecretBytes,
    SecretStr,
    StrictFloat,
    Tag,
    ValidationError,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import TypedDict

from services.compute import computation
from services.compute.errors import RegistrationError
from services.compute.registry import Computation, register


def serve(kind: Any, default: Any = ...) -> Computation:
    """Make a computation with one parameter `x` of a type."""

    def taking(*, x: Any) -> int:
        return 0

    taking.__annotations__["x"] = kind
    if default is not ...:
        taking.__kwdefaults__ = {"x": default}
    return register(computation(version="1")(taking))


def serve_model(model: type[BaseModel]) -> Computation:
    """Make a computation with a parameter model."""

    def taking(x: Any) -> int:
        return 0

    taking.__annotations__["x"] = model
    return register(computation(version="1")(taking))


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Pair(NamedTuple):
    a: int
    b: dt.date


class Typed(TypedDict, total=False):
    a: int
    b: float


@dataclasses.dataclass
class Data:
    a: int
    b: tuple[float, ...] = ()


class Tree(BaseModel):
    value: float = 0.0
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Slots(BaseModel):
    x: int
    _cache: dict[str, int] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2 * self.x


class Tidy(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def lower(cls, value: str) -> str:
        return value.lower()


FINE: list[tuple[Any, list[Any]]] = [
    (bool, [True]),
    (int, [10**300, -1]),
    (PositiveInt, [1]),
    (float, ["NaN", "-Infinity", -0.0, 1, 5e-324]),
    (FiniteFloat, [0.1]),
    (complex, ["1+2j"]),
    (str, ["", "\x00é😀"]),
    (bytes, ["AP8="]),
    (Base64Str, ["AQI="]),
    (None, [None]),
    (int | None, [None, 1]),
    (int | float | bool | str | None, [1, 1.0, True, "1", None, "x"]),
    (float | Literal["auto"], ["auto", 1.5, "NaN"]),
    (dt.datetime | None, ["2020-01-01T00:00:00.123456+02:00", "2020-01-01T00:00:00"]),
    (dt.date, ["2020-01-01"]),
    (dt.time, ["12:00:00.000001"]),
    (dt.timedelta, ["P1DT0.000001S", "-P9999DT1S"]),
    (Decimal, ["1.50", 1, "1E+5"]),
    (uuid.UUID, ["00000000-0000-0000-0000-000000000001"]),
    (Path, ["/a/b", "a"]),
    (HttpUrl, ["http://example.org"]),
    (AnyUrl, ["ftp://example.org/x?y"]),
    (ipaddress.IPv4Address, ["127.0.0.1"]),
    (ipaddress.IPv6Network, ["::/64"]),
    (ZoneInfo, ["Europe/Berlin"]),
    (ByteSize, ["1 KiB", 3]),
    (Colour, ["red", 2]),
    (Literal["a", 1, None], ["a", 1, None]),
    (list[int], [[1]]),
    (set[str], [["b", "a"]]),
    (frozenset[int], [[1, 2]]),
    (tuple[int, str], [[1, "a"]]),
    (tuple[int, ...], [[], [1]]),
    (deque[int], [[1, 2]]),
    (Sequence[int], [[1, 2]]),
    (Mapping[str, int], [{"a": 1}]),
    (dict[str, list[float]], [{"a": ["NaN", 1]}]),
    (dict[int, int], [{"1": 1}]),
    (dict[dt.date, int], [{"2020-01-01": 1}]),
    (dict[Colour, int], [{"red": 1}]),
    (OrderedDict[str, int], [{"b": 1, "a": 2}]),
    (Counter[str], [{"a": 2}]),
    (JsonValue, [{"a": [1, 1.5, None, {"b": True}]}, "x"]),
    (Json[list[int]], ["[1]"]),
    (Pair, [[1, "2020-01-01"]]),
    (Typed, [{}, {"a": 1, "b": "NaN"}]),
    (Data, [{"a": 1, "b": [1, "Infinity"]}]),
    (Tree, [{"value": "NaN", "children": [{"value": 1}]}]),
    (Cat | Dog, [{"kind": "dog"}, {"lives": 8}]),
    (Annotated[Cat | Dog, Field(discriminator="kind")], [{"kind": "dog"}]),
    (list[Cat] | list[int], [[{"lives": 1}], [1]]),
    (Slots, [{"x": 2}]),
    (Tidy, [{"name": "ABC"}]),
    (Annotated[str, AfterValidator(str.strip)], [" a "]),
]


@pytest.mark.parametrize(("kind", "values"), FINE, ids=lambda value: str(value)[:40])
def test_types_that_keep_their_information(kind: Any, values: list[Any]) -> None:
    made = serve(kind)
    for value in values:
        parameters = made.validate({"x": value})
        again = made.validate_json(made.dump(parameters))
        assert made.identify(again) == made.identify(parameters)
        assert made.dump(again) == made.dump(parameters)


class Excluding(BaseModel):
    shown: int = 0
    hidden: int = Field(0, exclude=True)


class Sometimes(BaseModel):
    x: int = Field(0, exclude_if=lambda value: value > 10)


class Rounding(BaseModel):
    x: float = 0.0

    @field_serializer("x")
    def write(self, value: float) -> float:
        return round(value, 2)


class Whole(BaseModel):
    x: int = 0

    @model_serializer
    def write(self) -> dict[str, int]:
        return {}


class TwoNames(BaseModel):
    x: int = Field(0, validation_alias="a", serialization_alias="b")


class Seconds(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float")
    x: dt.timedelta = dt.timedelta(0)


class OneWay(BaseModel):
    model_config = ConfigDict(val_json_bytes="base64")
    x: bytes = b""


class Deep(BaseModel):
    inner: list[dict[str, Excluding]] = []


class Nothing:
    pass


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    x: Nothing | None = None


class Odd(enum.Enum):
    ORIGIN = (0, 0)


@dataclasses.dataclass
class Derived:
    a: int
    b: int = dataclasses.field(init=False, default=0)


@dataclasses.dataclass
class Init:
    a: dataclasses.InitVar[int]


class Fresh(BaseModel):
    x: float = Field(default_factory=random.random)


class Broken(BaseModel):
    x: int = Field(default_factory=lambda: 1 // 0)


class WrongDefault(BaseModel):
    x: float = 1


class NoneDefault(BaseModel):
    x: int = None  # type: ignore[assignment]


TAGGED: Any = Annotated[Annotated[Excluding, Tag("a")] | Annotated[Cat, Tag("b")], Discriminator(lambda _: "a")]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Any, "'x' may be anything.*JsonValue"),
        (object, "'x' may be anything"),
        (list, "'x(\\[\\])?' (may be anything|does not say what it holds)"),
        (dict, "'x.*' (may be anything|does not say what it holds)"),
        (dict[str, Any], "'x\\[\\]' may be anything"),
        (Callable[[], int], "'x' is type 'callable'"),
        (type[int], "'x' is type 'is-subclass'"),
        (Iterable[int], "'x' is type 'generator'"),
        (re.Pattern[str], "'x'"),
        (ImportString, "'x'"),
        (Base64Bytes, "'x' would be decoded twice.*Cure: use bytes"),
        (list[Base64UrlBytes], "'x\\[\\]' would be decoded twice"),
        (SecretStr, "'x' is a secret"),
        (SecretBytes, "'x' is a secret"),
        (Secret[int], "'x' is a secret"),
        (list[SecretStr | None], "'x\\[\\]' is a secret"),
        (dict[None, int], "'x' has keys of type 'none'"),
        (dict[bytes, int], "'x' has keys of type 'bytes'"),
        (dict[tuple[int, int], int], "'x' has keys of type 'tuple'"),
        (dt.datetime | str, "'x' is a union of str and datetime"),
        (list[str | Decimal], "'x\\[\\]' is a union of str and decimal"),
        (uuid.UUID | Annotated[str, Field(max_length=3)], "'x' is a union of str and uuid"),
        (Annotated[int, PlainSerializer(str)], "'x' has a serializer of its own"),
        (Annotated[ByteSize, PlainSerializer(lambda size: size.human_readable())], "'x' has a serializer of its own"),
        (Annotated[ZoneInfo, PlainSerializer(lambda zone: "UTC")], "'x' has a serializer of its own"),
        (Annotated[Path, PlainSerializer(lambda path: path.name)], "'x' has a serializer of its own"),
        (Annotated[int, PlainValidator(int)], "'x' is the result of a PlainValidator"),
        (Odd, "'x': Odd.ORIGIN has a value that is no JSON scalar"),
        (Literal[b"x"], "'x' is a Literal of bytes"),
        (Derived, "'x.b' is no ordinary field"),
        (Init, "'x.a' is no ordinary field"),
        (Deep, "'x.inner\\[\\]\\[\\].hidden' is excluded"),
        (Arbitrary, "'x.x' is type 'is-instance'"),
        (Seconds, "'x' sets ser_json_timedelta"),
        (TAGGED, "excluded"),
    ],
    ids=str,
)
def test_types_that_lose_information(kind: Any, problem: str) -> None:
    with pytest.raises(RegistrationError, match=problem) as caught:
        serve(kind)
    assert re.search(rf"{re.escape(__file__)}:\d+, serve.<locals>.taking: .*Cure: ", str(caught.value))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (Excluding, "'hidden' is excluded from its JSON form. Cure: remove exclude"),
        (Sometimes, "'x' is excluded"),
        (Rounding, "'x' has a serializer of its own"),
        (Whole, "has a serializer of its own"),
        (TwoNames, "'x' is written as 'b' but read as 'a'"),
        (OneWay, "'OneWay' writes bytes in another way"),
        (Fresh, "default factory of parameter 'x' gives another value each time"),
        (Broken, "default factory of parameter 'x' fails"),
        (WrongDefault, "default 1 of parameter 'x' is not what validation makes of it, 1.0"),
        (NoneDefault, "default None of parameter 'x' is refused by its own type"),
    ],
)
def test_models_that_lose_information(model: type[BaseModel], problem: str) -> None:
    with pytest.raises(RegistrationError, match=problem):
        serve_model(model)


def test_encoded_bytes_are_fine_where_bytes_are_text() -> None:
    class Encoded(BaseModel):
        x: Base64Bytes

    made = serve_model(Encoded)
    assert made.validate_json(made.dump(made.validate_json(b'{"x": "AQI="}'))) == Encoded(x=b"AQI=")


def test_defaults_in_a_signature_are_validated() -> None:
    made = serve(float, 1)
    assert made.identify(made.validate({})) == made.identify(made.validate({"x": 1.0}))
    assert made.identify(serve(list[float], [1]).validate({})) == made.identify(serve(list[float]).validate({"x": [1]}))
    with pytest.raises(RegistrationError, match="default 'a' of parameter 'x' is refused by its own type"):
        serve(int, "a")


@pytest.mark.parametrize("alias", ["renamed", "camelCase"])
def test_one_alias_for_both_ways_is_fine(alias: str) -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        x: int = Field(alias=alias)
        y: int = Field(0, validation_alias=AliasChoices("y", "z"))

    made = serve_model(Aliased)
    parameters = made.validate({alias: 1, "z": 2})
    assert made.dump(parameters) == f'{{"{alias}":1,"y":2}}'.encode()
    assert made.identify(made.validate({"x": 1, "y": 2})) == made.identify(parameters)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float | str, "NaN"),
        (Annotated[int, AfterValidator(lambda value: value + 1)], 1),
    ],
)
def test_a_text_that_looks_like_a_number_is_fine_but_no_loss_is(kind: Any, value: object) -> None:
    made = serve(kind)
    if value == "NaN":
        made.validate({"x": value})  # a text
    with pytest.raises(ValidationError, match="do not survive being written as JSON"):
        made.validate_json(b'{"x": NaN}' if value == "NaN" else b'{"x": 1}')


def test_strict_floats_take_no_nan() -> None:
    with pytest.raises(ValidationError, match="do not survive"):
        serve(StrictFloat).validate_json(b'{"x": NaN}')


def test_a_validator_over_the_whole_model() -> None:
    class Ordered(BaseModel):
        low: float
        high: float

        @model_validator(mode="after")
        def swap(self) -> Ordered:
            if self.low > self.high:
                self.low, self.high = self.high, self.low
            return self

    made = serve_model(Ordered)
    assert made.identify(made.validate({"low": 2, "high": 1})) == made.identify(made.validate({"low": 1, "high": 2}))
