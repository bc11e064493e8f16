"""What JSON a parameter model takes behind its guards, beside what Pydantic alone takes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, field_validator
from typing_extensions import TypeAliasType, TypedDict

from services.compute.guards import guarded_reader

Found: TypeAlias = tuple[str, tuple[Any, ...], str]


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    ONE = 1
    TEXT = "2"


class Inner(BaseModel):
    n: int = 0
    metadata: int = 0
    config: list[int] = []


@dataclass
class Record:
    n: int


class Row(TypedDict):
    n: int


class Tree(BaseModel):
    n: int
    children: list[Tree] = []


class Strict(BaseModel, strict=True):
    day: dt.date
    n: int = 0


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    age: float


Pet: TypeAlias = Annotated[Cat | Dog, Field(discriminator="kind")]
Number = TypeAliasType("Number", int)


def read(kind: Any, value: str) -> Any:
    """Read `value` as a parameter of this type."""
    return guarded_reader(create_model("Model", x=(kind, ...)))(f'{{"x": {value}}}', extra="forbid").x  # type: ignore[attr-defined]


def errors(reader: Callable[..., Any], value: str) -> list[Found]:
    """What is wrong with `value` as the parameter: type, place and message of each error."""
    with pytest.raises(ValidationError) as caught:
        reader(f'{{"x": {value}}}', extra="forbid")
    return [(error["type"], error["loc"], error["msg"]) for error in caught.value.errors()]


def alike(kind: Any, value: str, *, strict: bool = False) -> bool:
    """Whether the guards say exactly what Pydantic does."""
    model = create_model("Model", x=(kind, ...))
    theirs = create_model("Model", __config__=ConfigDict(strict=strict), x=(kind, ...))
    return errors(guarded_reader(model), value) == errors(theirs.model_validate_json, value)


NUMBERS: list[tuple[Any, list[str], list[str]]] = [
    (int, ["1", "-0", "3.0", "123456789012345678901234567890"], ['"1"', '"1_0"', '""', "true", "1.5", "null"]),
    (float, ["1", "1.5", '"NaN"', '"Infinity"', '"-Infinity"'], ['"1"', '"nan"', '" NaN"', '"1_0"', "false"]),
    (Annotated[float, Field(gt=0)], ["1", '"Infinity"'], ["0", '"NaN"', '"-Infinity"', '"100"']),
    (bool, ["true", "false"], ["1", "0", "1.0", '"true"', '"on"', '"1"']),
    (complex, ['"1+2j"'], ["1", "true", '"x"']),
    (Literal[1, "a"], ["1", "1.0", '"a"'], ["true", '"1"', "2"]),
    (Literal[1, 2], ["2"], ["true", '"1"']),
    (Literal[True], ["true"], ["1", '"true"']),
    (Level, ["1", "2.0"], ["true", '"1"', "3"]),
    (Mixed, ["1", '"2"'], ["true", '"1"', "2"]),
    (Decimal, ["1", "1.50", '"1.50"'], ["true", '"x"', '"NaN"']),
]
TIMES: list[tuple[Any, list[str], list[str]]] = [
    (dt.date, ['"2024-02-29"'], ["0", "1.5", "true", '"0"', '"1700000000"', '"2023-02-29"']),
    (dt.datetime, ['"2024-02-29T10:00:00Z"', '"2024-02-29T10:00"'], ["0", "false", '"1700000000"', '" -1.5 "', '"x"']),
    (dt.time, ['"10:00:00"'], ["3600", "true", '"3600"']),
    (dt.timedelta, ['"PT1H"', '"P1D"'], ["30", "1.5", "true", '"30"']),
]


@pytest.mark.parametrize(("kind", "good", "bad"), NUMBERS + TIMES)
def test_each_kind_takes_what_the_schema_says(kind: Any, good: list[str], bad: list[str]) -> None:
    plain = create_model("Model", x=(kind, ...)).model_validate_json
    for value in good:
        found, expected = read(kind, value), plain(f'{{"x": {value}}}').x  # type: ignore[attr-defined]
        assert repr(found) == repr(expected)
        assert type(found) is type(expected)
    for value in bad:
        assert errors(guarded_reader(create_model("Model", x=(kind, ...))), value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, '"12"'),
        (int, "true"),
        (float, '"x"'),
        (float, "true"),
        (bool, '"true"'),
        (bool, "2"),
        (complex, "true"),
        (dt.date, "1"),
        (dt.datetime, "1"),
        (dt.time, "1"),
        (dt.timedelta, "1"),
        (Level, '"1"'),
        (list[int], '[1, "2"]'),
        (int | float, '"1"'),
        (int | UUID, '"1"'),
        (list[int] | list[bool], '["1"]'),
        (dict[str, int] | int, '{"a": "1"}'),
        (tuple[int, dt.date], '["1", 1]'),
    ],
)
def test_refusals_say_what_pydantic_says_when_it_is_strict(kind: Any, value: str) -> None:
    assert alike(kind, value, strict=True)


def test_a_truth_value_is_no_number_of_a_literal() -> None:
    reader = guarded_reader(create_model("Model", x=(Literal[1, 2, 3], ...)))
    assert errors(reader, "true") == [("literal_error", ("x",), "Input should be 1, 2 or 3")]


@pytest.mark.parametrize(("kind", "value"), [(int, "1.5"), (dt.date, '"x"'), (Level, "3"), (int | None, "[]")])
def test_other_refusals_say_what_pydantic_says(kind: Any, value: str) -> None:
    assert alike(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int | float, "1", 1),
        (int | float, "1.0", 1.0),
        (bool | int, "1", 1),
        (int | bool, "true", True),
        (int | str, '"1"', "1"),
        (float | Literal["auto"], '"auto"', "auto"),
        (dt.datetime | dt.date, '"2024-01-01"', dt.date(2024, 1, 1)),
        (dt.date | dt.datetime, '"2024-01-01T00:00:00"', dt.datetime(2024, 1, 1)),
        (dt.time | dt.timedelta, '"PT1H"', dt.timedelta(hours=1)),
        (Pet, '{"kind": "dog", "age": 2}', Dog(kind="dog", age=2.0)),
    ],
)
def test_unions_choose_as_ever(kind: Any, value: str, expected: object) -> None:
    found = read(kind, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Inner, '{"n": 1}', '{"n": "1"}'),
        (Inner, '{"metadata": 1}', '{"metadata": "1"}'),
        (Inner, '{"config": [1]}', '{"config": ["1"]}'),
        (list[Inner], '[{"n": 1}]', '[{"n": true}]'),
        (Inner | None, '{"n": 1}', '{"n": "1"}'),
        (Record, '{"n": 1}', '{"n": "1"}'),
        (Row, '{"n": 1}', '{"n": "1"}'),
        (Tree, '{"n": 1, "children": [{"n": 2}]}', '{"n": 1, "children": [{"n": 2, "children": [{"n": "3"}]}]}'),
        (
            Annotated[Cat | Dog, Field(discriminator="kind")],
            '{"kind": "cat", "lives": 9}',
            '{"kind": "cat", "lives": "9"}',
        ),
        (tuple[Number, Number], "[1, 2]", '[1, "2"]'),
    ],
)
def test_guards_reach_into_models_of_all_kinds(kind: Any, good: str, bad: str) -> None:
    read(kind, good)
    assert errors(guarded_reader(create_model("Model", x=(kind, ...))), bad)[0][0] == "int_type"
    create_model("Model", x=(kind, ...)).model_validate_json(f'{{"x": {bad}}}')  # the model itself is as it was


def test_keys_of_dicts_are_always_text() -> None:
    assert read(dict[int, str], '{"1": "a"}') == {1: "a"}
    assert read(dict[dt.date, float], '{"2024-01-01": 1}') == {dt.date(2024, 1, 1): 1.0}
    assert read(dict[Number, list[Number]], '{"1": [2]}') == {1: [2]}
    assert read(dict[Level, bool], '{"1": true}') == {Level.LOW: True}
    reader = guarded_reader(create_model("Model", x=(dict[Number, list[Number]], ...)))
    assert errors(reader, '{"1": ["2"]}') == [("int_type", ("x", "1", 0), "Input should be a valid integer")]


def test_what_is_behind_an_authors_validator_is_read_as_ever() -> None:
    def named(value: object) -> object:
        return "2024-02-29" if value == "leap" else value

    class Model(BaseModel):
        day: Annotated[dt.date, BeforeValidator(named)]
        days: list[dt.date] = []

        @field_validator("days", mode="before")
        @classmethod
        def _split(cls, value: object) -> object:
            return value.split() if isinstance(value, str) else value

    reader = guarded_reader(Model)
    model = reader('{"day": "leap", "days": "2024-01-01 2024-01-02"}')
    assert model == Model(day=dt.date(2024, 2, 29), days=[dt.date(2024, 1, 1), dt.date(2024, 1, 2)])
    for body in ('{"day": 1}', '{"day": "leap", "days": [1]}'):
        with pytest.raises(ValidationError, match="date_type"):
            reader(body)


def test_who_says_whether_to_be_strict_is_left_alone() -> None:
    class Model(BaseModel):
        lax: Annotated[int, Field(strict=False)] = 0
        strict: Annotated[int, Field(strict=True)] = 0
        inner: Strict | None = None

    reader = guarded_reader(Model)
    model = reader('{"lax": "1", "strict": 1, "inner": {"day": "2024-01-01"}}')
    assert model == Model(lax=1, strict=1, inner=Strict(day=dt.date(2024, 1, 1)))
    for body in (
        '{"strict": "1"}',
        '{"strict": 1.0}',
        '{"inner": {"day": 1}}',
        '{"inner": {"day": "2024-01-01", "n": "1"}}',
    ):
        with pytest.raises(ValidationError):
            reader(body)
