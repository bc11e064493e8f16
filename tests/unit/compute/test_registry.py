"""What becomes of a decorated function, and what is said where it cannot be served."""

from __future__ import annotations

import json
import math
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, JsonValue, RootModel, ValidationError

from services.compute import Array, Frame, computation
from services.compute.errors import RegistrationError
from services.compute.registry import Registry, load_registry, register


@computation
def power(base: Annotated[float, Field(description="The base")], exponent: int = 2, *, copy: bool = False) -> float:
    """Raise a number to a power.

    In floating point.
    """
    assert not copy
    return float(base**exponent)


class Box(BaseModel):
    width: float
    depth: float = 1.5
    labels: set[str] = set()


@computation(name="volume", version="7", result_ttl=60, timeout=5, max_attempts=1)
def box_volume(box: Box) -> float:
    return box.width * box.depth


def test_a_function_becomes_a_computation() -> None:
    made = register(power)
    assert (made.name, made.result_ttl, made.timeout, made.max_attempts) == ("power", 86_400.0, 3_600.0, 4)
    assert made.summary == "Raise a number to a power."
    assert made.description == "Raise a number to a power.\n\nIn floating point."
    assert made.module == __name__
    assert len(made.version) == 16
    assert made.parameters.__name__ == "PowerParameters"
    parameters = made.validate_json(b'{"base": 3}')
    assert made.call(parameters) == 9.0
    assert made.identify(parameters).startswith("power-")
    assert made.dump(parameters) == b'{"base":3.0,"exponent":2,"copy":false}'


def test_the_function_stays_an_ordinary_one() -> None:
    assert power(3.0, exponent=3) == 27.0
    assert box_volume(Box(width=2)) == 3.0


def test_a_model_as_the_only_parameter_is_the_parameter_model() -> None:
    made = register(box_volume)
    assert made.parameters is Box
    assert (made.name, made.version, made.result_ttl, made.timeout, made.max_attempts) == ("volume", "7", 60.0, 5.0, 1)
    assert made.call(made.validate({"width": 2})) == 3.0


def test_a_keyword_only_model_is_a_parameter_among_others() -> None:
    @computation
    def keyword(*, box: Box) -> float:
        return box.width

    keyword.__annotations__["box"] = Box
    made = register(keyword)
    assert made.call(made.validate({"box": {"width": 4}})) == 4.0


def test_positional_only_parameters_and_none_at_all() -> None:
    @computation
    def divided(a: int, b: int, /, *, c: int = 1) -> float:
        return a / b / c

    @computation
    def constant() -> None:
        return None

    made = register(divided)
    assert made.call(made.validate({"a": 1, "b": 2, "c": 4})) == 0.125
    assert register(constant).call(register(constant).validate({})) is None


BODIES = [b"{}", b'{"base": "x"}', b'{"base": 1, "more": 2}', b"[1]", b"", b"{", b"\xff", b"null"]
DATA = [{}, {"base": "x"}, {"base": 1, "more": 2}, [1], None, {"base": object()}, {"base": "\ud800"}]


@pytest.mark.parametrize("body", BODIES)
def test_bad_parameters(body: bytes) -> None:
    with pytest.raises(ValidationError):
        register(power).validate_json(body)


@pytest.mark.parametrize("data", DATA)
def test_bad_data(data: object) -> None:
    with pytest.raises(ValidationError):
        register(power).validate(data)


def test_unknown_fields_are_refused_at_every_level() -> None:
    class Lax(BaseModel, extra="allow"):
        x: int = 0

    @computation
    def nested(many: list[Any], /, lax: Any = None) -> int:
        return 0

    nested.__annotations__.update(many=list[Lax], lax=Lax | None)
    made = register(nested)
    for data in ({"many": [{"y": 1}]}, {"many": [], "lax": {"y": 1}}):
        with pytest.raises(ValidationError, match="extra_forbidden"):
            made.validate(data)
    schema = made.parameters_schema()
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Lax"]["additionalProperties"] is False


def test_nan_travels_through_models_that_would_write_null() -> None:
    made = register(box_volume)
    parameters = made.validate_json(b'{"width": "NaN", "depth": "-Infinity"}')
    assert json.loads(made.dump(parameters)) == {"width": "NaN", "depth": "-Infinity", "labels": []}
    again = made.validate_json(made.dump(parameters))
    assert isinstance(again, Box)
    assert math.isnan(again.width)
    assert made.identify(again) == made.identify(parameters)


def test_validate_and_validate_json_agree() -> None:
    made = register(box_volume)
    data = {"width": 1, "labels": ["b", "a", "a"]}
    assert made.identify(made.validate(data)) == made.identify(made.validate_json(json.dumps(data).encode()))
    assert made.validate(made.validate(data)) == made.validate(data)


def test_schemas() -> None:
    made = register(power)
    schema = made.parameters_schema()
    three = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
    base = {"description": "The base", "title": "Base", "anyOf": [{"type": "number"}, three]}
    assert schema["properties"]["base"] == base
    assert schema["required"] == ["base"]
    assert "copy" in schema["properties"]
    assert made.result_schema()["anyOf"] == [{"type": "number"}, three]
    schema.clear()
    assert made.parameters_schema()


def test_a_schema_lists_the_strings_that_pass() -> None:
    def numbers(
        least: Annotated[float, Field(ge=0)],
        both: Annotated[float, Field(ge=0, lt=1)],
        finite: Annotated[float, Field(allow_inf_nan=False)],
        strict: Annotated[float, Field(strict=True)],
        exact: Decimal,
    ) -> Annotated[float, Field(ge=0)]:
        return 0

    numbers.__annotations__ = {name: eval(text) for name, text in numbers.__annotations__.items()}
    made = register(computation(numbers))
    found = made.parameters_schema()["properties"]
    assert found["least"]["anyOf"] == [{"type": "number", "minimum": 0}, {"type": "string", "enum": ["Infinity"]}]
    assert {found[name]["type"] for name in ("both", "finite", "strict")} == {"number"}
    assert found["exact"]["anyOf"] == [{"type": "number"}, {"type": "string"}]
    assert made.result_schema()["anyOf"][1]["enum"] == ["NaN", "Infinity", "-Infinity"]


def test_sets_are_lists_that_may_say_a_thing_twice() -> None:
    @computation
    def sets(*, labels: set[int], frozen: frozenset[int] = frozenset()) -> set[int]:
        return labels

    made = register(sets)
    assert made.dump(made.validate({"labels": [1, 1]})) == b'{"labels":[1],"frozen":[]}'
    assert "uniqueItems" not in json.dumps(made.parameters_schema())
    assert made.result_schema()["uniqueItems"] is True


def test_a_registry_is_a_mapping_by_name() -> None:
    registry = Registry([register(power), register(box_volume)])
    assert list(registry) == ["power", "volume"]
    assert len(registry) == 2
    assert registry.get("none") is None
    assert registry.versions["volume"] == "7"
    assert "volume 7" in repr(registry)
    registry.versions.clear()
    assert len(registry.versions) == 2


def test_the_hot_path_is_short() -> None:
    """Generous: a few microseconds when the machine is idle."""
    made, body = register(power), b'{"base": 10}'

    def once() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            made.identify(made.validate_json(body))
        return (time.perf_counter() - start) / 1000

    assert min(once() for _ in range(20)) < 30e-6


# --- refused in the signature


def no_annotation(x) -> int:  # type: ignore[no-untyped-def]
    return 0


def no_result(x: int):  # type: ignore[no-untyped-def]
    return 0


def stars(*values: int) -> int:
    return 0


def keywords(**values: int) -> int:
    return 0


def unknown(x: Missing) -> int:  # type: ignore[name-defined]  # noqa: F821
    return 0


class Opaque:
    pass


def opaque(x: Opaque) -> int:
    return 0


def opaque_result(x: int) -> Opaque:
    return Opaque()


def underscore(_x: int) -> int:
    return 0


def root(x: RootModel[int]) -> int:
    return 0


def callback(x: int) -> Callable[[], int]:
    return lambda: 0


@pytest.mark.parametrize(
    ("function", "problem", "cure"),
    [
        (no_annotation, "parameter 'x' has no annotation", "x: int"),
        (no_result, "has no return annotation", "-> float"),
        (stars, "takes \\*values", "one by one"),
        (keywords, "takes \\*\\*values", "one by one"),
        (unknown, "names 'Missing'", "import it at the module's top"),
        (opaque, "cannot be read from JSON", "use types that Pydantic can validate"),
        (opaque_result, "has no JSON form", "Array, Frame or Series"),
        (underscore, "'_x' begins with an underscore", "rename it"),
        (root, "is a RootModel", "use a BaseModel"),
        (callback, "its result have no JSON Schema", "use types"),
    ],
)
def test_signatures_that_cannot_be_served(function: Callable[..., Any], problem: str, cure: str) -> None:
    with pytest.raises(RegistrationError, match=problem) as caught:
        register(computation(function))
    message = str(caught.value)
    assert f"{__file__}:{function.__code__.co_firstlineno}, {function.__name__}: " in message
    assert "Cure: " in message
    assert cure in message


def test_options_that_make_no_sense() -> None:
    def fine() -> int:
        return 0

    options: list[dict[str, Any]] = [
        {"name": "svd-2d"},
        {"name": "Svd"},
        {"name": "2d"},
        {"name": ""},
        {"name": "a" * 65},
        {"version": "a b"},
        {"version": ""},
        {"version": "a/b"},
        {"result_ttl": 0},
        {"result_ttl": math.inf},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": True},
        {"max_attempts": 0},
        {"max_attempts": 1.5},
    ]
    for option in options:
        with pytest.raises(RegistrationError, match=r"fine: .*Cure"):
            computation(**option)(fine)


def test_functions_that_cannot_run_in_a_thread() -> None:
    async def coroutine() -> int:
        return 0

    def generator() -> Iterator[int]:
        yield 0

    for function, problem in ((coroutine, "async"), (generator, "generator"), (lambda: 0, "lambda")):
        with pytest.raises(RegistrationError, match=problem):
            computation(function)
    with pytest.raises(RegistrationError, match="only plain functions"):
        computation(Opaque)


def test_what_is_not_decorated_is_no_computation() -> None:
    with pytest.raises(RegistrationError, match="is no computation"):
        register(Opaque.__init__)


# --- discovery


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Write modules where they can be imported, and forget them afterwards."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - known:
        if name.split(".")[0] in {"acme", "lone"}:
            del sys.modules[name]


GOOD = """
from __future__ import annotations
from services.compute import computation
@computation
def {name}(n: int) -> int:
    return n
"""


def test_all_modules_below_a_package_are_found(make: Callable[[dict[str, str]], None]) -> None:
    make(
        {
            "acme/__init__.py": "",
            "acme/one.py": GOOD.format(name="one"),
            "acme/deep/__init__.py": "",
            "acme/deep/two.py": GOOD.format(name="two") + "from acme.one import one\nalias = two\n",
            "acme/__main__.py": "raise SystemExit\n",
            "lone.py": GOOD.format(name="three"),
        }
    )
    assert set(load_registry("acme, lone,")) == {"one", "two", "three"}
    assert set(load_registry(["acme", "acme.deep"])) == {"one", "two"}


def test_versions_follow_the_code(make: Callable[[dict[str, str]], None]) -> None:
    make(
        {
            "acme/__init__.py": "",
            "acme/one.py": GOOD.format(name="one") + "from acme import helper\n",
            "acme/two.py": GOOD.format(name="two"),
            "acme/helper.py": "x = 1\n",
        }
    )
    before = load_registry("acme").versions
    make({"acme/helper.py": "x = 2\n"})
    after = load_registry("acme").versions
    assert before["one"] != after["one"]
    assert before["two"] == after["two"]


SAME = GOOD.format(name="same")
TWICE = SAME + SAME.replace("from __future__", "#")
NAMED = (
    SAME.replace("@computation", "@computation(name='same')").replace("def same", "def b").replace("from __f", "# f")
)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"__init__": ""}, "no computation in acme"),
        ({}, "COMPUTE_MODULES names acme, but there is no module acme"),
        ({"__init__": "import not_here\n"}, r"__init__.py:1: module acme imports not_here.*Cure: import heavy"),
        ({"__init__": "", "bad": "\n1 / 0\n"}, r"bad.py:2: module acme.bad cannot be imported: ZeroDivisionError"),
        ({"__init__": "", "bad": "x = (\n"}, r"bad.py:1: module acme.bad cannot be imported: SyntaxError"),
        (
            {"__init__": "", "a": SAME, "b": SAME},
            r"b.py:4, same: the name 'same' is taken by .*a.py:4, same. Cure: give",
        ),
        ({"__init__": TWICE}, r"__init__.py:4, same: another 'same' in line 10 hides it. Cure: give"),
        ({"__init__": "", "bad": "import sys\nsys.exit('no')\n"}, r"bad.py:2: module acme.bad ends the process.*no"),
        ({"__init__": SAME + NAMED}, r"b: the name 'same' is taken by .*__init__.py:4, same"),
        ({"__init__": GOOD.format(name="Upper")}, r"__init__.py:4, Upper: 'Upper' is no name"),
    ],
)
def test_modules_that_cannot_be_served(
    make: Callable[[dict[str, str]], None], files: dict[str, str], problem: str
) -> None:
    make({f"acme/{name}.py": text for name, text in files.items()})
    with pytest.raises(RegistrationError, match=problem):
        load_registry("acme")


def test_no_module_at_all() -> None:
    with pytest.raises(RegistrationError, match="COMPUTE_MODULES, which is empty"):
        load_registry(" ,")


def test_heavy_types_under_type_checking_are_explained(make: Callable[[dict[str, str]], None]) -> None:
    make(
        {
            "acme/__init__.py": """
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from services.compute import computation
            if TYPE_CHECKING:
                import pandas
            @computation
            def frames(n: int) -> pandas.DataFrame: ...
            """
        }
    )
    with pytest.raises(RegistrationError, match=r"names 'pandas'.*use Array, Frame or Series"):
        load_registry("acme")


def test_light_types_have_schemas() -> None:
    @computation
    def frames(n: Literal[1, 2]) -> Frame:
        return n

    @computation
    def arrays(n: Literal[1, 2]) -> Array:
        return n

    assert register(frames).result_schema()["required"] == ["columns", "index", "data"]
    assert register(arrays).result_schema()["type"] == "array"


def test_versions_do_not_depend_on_how_a_module_was_named() -> None:
    whole = load_registry().versions
    assert load_registry("services.compute.tasks.svd").versions == {"svd": whole["svd"]}


def test_the_deepest_json_has_an_identity() -> None:
    @computation
    def deep(*, x: JsonValue) -> int:
        return 0

    made = register(deep)
    for depth in (100, 200, 400):
        body = b'{"x": ' + b"[" * depth + b"]" * depth + b"}"
        try:
            parameters = made.validate_json(body)
        except ValidationError:
            assert depth > 100
        else:
            assert made.identify(parameters).startswith("deep-")
