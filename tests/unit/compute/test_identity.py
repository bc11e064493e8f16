"""Equal parameters have equal ids and others have not; the bytes are the same under every interpreter."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from services.compute import computation, identity
from services.compute.identity import canonical, code_version, task_id
from services.compute.registry import Computation, register

GOLDEN: list[tuple[str, str]] = [
    ("None", "n"),
    ("True", "t"),
    ("1", "i1;"),
    ("-255", "i-ff;"),
    ("10**20", "i56bc75e2d63100000;"),
    ("1.0", "d0x1.0000000000000p+0;"),
    ("0.1", "d0x1.999999999999ap-4;"),
    ("0.0", "d0x0.0p+0;"),
    ("-0.0", "d-0x0.0p+0;"),
    ("float('nan')", "dnan;"),
    ("-float('nan')", "dnan;"),
    ("float('-inf')", "d-inf;"),
    ("5e-324", "d0x0.0000000000001p-1022;"),
    ("''", "s0:"),
    ("'é漢😀'", "s3:é漢😀"),
    ("b'\\x00\\xff'", "b00ff;"),
    ("[1, 'a', [None]]", "l[i1;s1:al[n]]"),
    ("(1, 2)", "u[i1;i2;]"),
    ("{3, 1, 2}", "S[i1;i2;i3;]"),
    ("frozenset({'b', 'a'})", "S[s1:as1:b]"),
    ("{'b': 1, 'a': 2.5}", "D[s1:ad0x1.4000000000000p+1;s1:bi1;]"),
    ("dt.datetime(2020, 1, 2, 3, 4, 5, 6)", "T2020-01-02T03:04:05.000006;"),
    ("dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc)", "T2020-01-02T00:00:00+00:00;"),
    ("dt.date(2020, 1, 2)", "A2020-01-02;"),
    ("dt.time(3, 4)", "H03:04:00;"),
    ("dt.timedelta(days=-1, microseconds=7)", "R-1,0,7;"),
    ("Decimal('1.50')", "N1.50;"),
    ("uuid.UUID(int=1)", "U00000000000000000000000000000001;"),
    ("PurePosixPath('/a/b')", "Ps4:/a/b"),
    ("Colour.RED", "Es6:Colours3:red"),
]

PACKAGE = {
    "__init__.py": "",
    "calc.py": '''"""Doc."""
from . import helper
from .sub.deep import LIMIT
import golden_package.sub.other as other
import json, os.path

t = (u"x", b"y", 1j, ..., 0xffff, -1.5, 10**30, None, True, "é")
def work(a, /, b: int = 1, *args, k=None, **kwargs) -> "int":
    """Doc
      more."""
    global _state
    text = f"{a:}" f"{b!r:>{a}}" "c" f"{a=} {a:%Y-%m}"
    match a:
        case {"x": 1, **rest}: return {**rest, "k": 1}
        case [1, *_] | (2 | 3): pass
        case None: pass
    try:
        pass
    except* ValueError as error:
        pass
    return lambda *, z=2: [i async for i in a] if (y := b) else {j for j in args if j}
class A(dict, metaclass=type):
    x: int
''',
    "helper.py": "def twice(x):\n    return 2 * x\n",
    "sub/__init__.py": "from .other import *\n",
    "sub/deep.py": "from ..helper import twice\nLIMIT = 10\n",
    "sub/other.py": "OTHER = 1\n",
    "unused.py": "raise RuntimeError\n",
}
GOLDEN_VERSION = "4d183820d762b3c8"

SCRIPT = """
import datetime as dt, enum, json, runpy, sys, uuid
from decimal import Decimal
from pathlib import PurePosixPath
identity = runpy.run_path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
class Colour(enum.Enum):
    RED = "red"
values = [identity["canonical"](eval(source)).hex() for source in json.loads(sys.argv[3])]
print(json.dumps([values, identity["code_version"]("golden_package.calc")]))
"""


def interpreters() -> Iterator[str]:
    """Every supported interpreter that is installed here, with or without packages."""
    yield sys.executable
    for minor in (11, 12, 13):
        found = shutil.which(f"python3.{minor}")
        candidates = [Path(found)] if found else []
        candidates += sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}"))
        for candidate in candidates:
            answer = subprocess.run(
                [str(candidate), "-c", "import sys; print(sys.version_info[1])"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            if answer.returncode == 0 and answer.stdout.strip() == str(minor):
                yield str(candidate)
                break


def write_package(root: Path, files: dict[str, str], name: str = "golden_package") -> Path:
    package = root / name
    for path, text in files.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text, encoding="utf-8")
    return package


def test_every_interpreter_gives_the_golden_bytes(tmp_path: Path) -> None:
    write_package(tmp_path, PACKAGE)
    sources = json.dumps([source for source, _ in GOLDEN])
    for interpreter in set(interpreters()):
        for seed in ("0", "1"):
            answer = subprocess.run(
                [interpreter, "-B", "-s", "-c", SCRIPT, identity.__file__, str(tmp_path), sources],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                env={"PYTHONHASHSEED": seed},
                cwd=tmp_path,
            )
            assert answer.returncode == 0, f"{interpreter}: {answer.stderr}"
            values, version = json.loads(answer.stdout)
            found = [bytes.fromhex(value).decode() for value in values]
            assert found == [expected for _, expected in GOLDEN], interpreter
            assert version == GOLDEN_VERSION, interpreter


class Inner(BaseModel):
    x: int = 0
    y: float = 0.0


class Twin(BaseModel):
    x: int = 0
    y: float = 0.0


class Shade(enum.StrEnum):
    DARK = "dark"
    LIGHT = "light"


class Wide(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")

    number: int = 0
    real: float = 0.0
    either: int | float | bool | None = None
    mixed: int | str | bool | None = None
    text: str = ""
    numbers: set[int] = set()
    reals: list[float] = []
    pairs: tuple[int, str] = (0, "")
    table: dict[str, list[int]] = {}
    counts: dict[int, float] = {}
    inner: Inner = Inner()
    chosen: Inner | Twin | None = None
    shade: Shade = Shade.DARK
    word: Literal["a", "b", 3] = "a"
    moment: dt.datetime | None = None
    day: dt.date = dt.date(2000, 1, 1)
    span: dt.timedelta = dt.timedelta(0)
    money: Decimal = Decimal("0")
    code: uuid.UUID = uuid.UUID(int=0)
    place: Path = Path()


@computation(version="1")
def wide(p: Wide) -> int:
    return 0


COMPUTATION: Computation = register(wide)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
whole = st.one_of(st.integers(-3, 3), st.integers(), st.integers(-(10**400), 10**400))
floats = st.one_of(st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]), st.floats())
zones: Any = st.one_of(st.none(), st.integers(-14 * 60, 14 * 60).map(lambda m: dt.timezone(dt.timedelta(minutes=m))))
moments = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=zones)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "number": whole,
    "real": st.one_of(floats, whole.filter(lambda n: abs(n) < 10**300)),
    "either": st.one_of(st.none(), st.booleans(), whole, floats),
    "mixed": st.one_of(st.none(), st.booleans(), whole, texts),
    "text": texts,
    "numbers": st.sets(st.integers(), max_size=4),
    "reals": st.lists(floats, max_size=3),
    "pairs": st.tuples(st.integers(), texts),
    "table": st.dictionaries(texts, st.lists(st.integers(), max_size=2), max_size=3),
    "counts": st.dictionaries(st.integers(), floats, max_size=3),
    "inner": st.builds(Inner, x=whole, y=floats),
    "shade": st.sampled_from(Shade),
    "word": st.sampled_from(["a", "b", 3]),
    "moment": st.one_of(st.none(), moments),
    "day": st.dates(),
    "span": st.timedeltas(dt.timedelta(days=-10_000), dt.timedelta(days=10_000)),
    "money": st.decimals(allow_nan=False, allow_infinity=False),
    "code": st.uuids(),
    "place": st.from_regex(r"[a-z./]{1,8}", fullmatch=True).map(Path),
}
some = st.sampled_from(sorted(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name]))
parameters = st.lists(some, max_size=4).map(dict)


def same(a: Any, b: Any) -> bool:
    """Whether nothing that a function could do would tell `a` from `b`, but for the order of sets and dicts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, BaseModel):
        return all(same(getattr(a, name), getattr(b, name)) for name in type(a).model_fields)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (Decimal, dt.datetime)):
        return str(a) == str(b)
    return bool(a == b)


@given(first=parameters, second=parameters)
@settings(max_examples=400, deadline=None)
def test_equal_after_validation_is_equal_id(first: dict[str, Any], second: dict[str, Any]) -> None:
    a, b = COMPUTATION.validate(first), COMPUTATION.validate(second)
    assert same(a, b) == (COMPUTATION.identify(a) == COMPUTATION.identify(b))


@given(field=st.sampled_from(sorted(FIELDS)), data=st.data())
@settings(max_examples=400, deadline=None)
def test_values_of_one_field(field: str, data: st.DataObject) -> None:
    a, b = (COMPUTATION.validate({field: data.draw(FIELDS[field])}) for _ in range(2))
    assert same(a, b) == (COMPUTATION.identify(a) == COMPUTATION.identify(b))


@given(values=parameters)
@settings(max_examples=300, deadline=None)
def test_the_wire_form_keeps_the_id(values: dict[str, Any]) -> None:
    before = COMPUTATION.validate(values)
    body = COMPUTATION.dump(before)
    json.loads(body, parse_constant=pytest.fail)
    after = COMPUTATION.validate_json(body)
    assert same(before, after)
    assert COMPUTATION.identify(before) == COMPUTATION.identify(after)
    assert COMPUTATION.dump(after) == body or "numbers" in values  # the order of a set is its own


nested = st.recursive(
    st.one_of(st.none(), st.booleans(), whole, floats, texts, st.binary(max_size=3), moments, st.dates(), st.times()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(a=nested, b=nested)
@settings(max_examples=500, deadline=None)
def test_canonical_tells_apart_what_differs(a: Any, b: Any) -> None:
    assert same(a, a) == (canonical(a) == canonical(a))
    if not has_fold(a) and not has_fold(b):
        assert same(a, b) == (canonical(a) == canonical(b))


def has_fold(value: Any) -> bool:
    return "fold=1" in repr(value)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["ab"], ["a", "b"]),
        (["a;", 1], ["a", ";", 1]),
        ([["a"], "b"], [["a", "b"]]),
        ({"a": {"b": 1}}, {"a": {}, "b": 1}),
        ("1", 1),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (None, math.nan),
        (math.nan, "NaN"),
        ([1], (1,)),
        ([], {}),
        (b"a", "a"),
        ("é", "e\u0301"),
        (dt.datetime(2020, 1, 1), dt.date(2020, 1, 1)),
        (Inner(x=1), Twin(x=1)),
        (Shade.DARK, "dark"),
    ],
)
def test_lookalikes_differ(a: object, b: object) -> None:
    assert canonical(a) != canonical(b)


def test_model_in_a_union_counts_by_its_class() -> None:
    assert COMPUTATION.identify(Wide(chosen=Inner(x=1))) != COMPUTATION.identify(Wide(chosen=Twin(x=1)))


def test_defaults_count_as_given() -> None:
    assert COMPUTATION.identify(COMPUTATION.validate_json(b"{}")) == COMPUTATION.identify(
        COMPUTATION.validate_json(b'{"real": 0, "number": 0.0, "inner": {"x": 0}}')
    )


def test_name_and_version_count() -> None:
    parameters = Wide()
    ids = {task_id(*pair, parameters) for pair in [("a", "1"), ("a", "2"), ("a1", ""), ("b", "1")]}
    assert len(ids) == 4


def test_task_id_is_golden() -> None:
    class P(BaseModel):
        n: Annotated[int, Field(ge=0)]
        names: set[str] = {"b", "a"}
        x: float = math.nan

    assert task_id("fibonacci", "1", P(n=10)) == "fibonacci-cb46aec07d19fc19e99be84d4ceab518"


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical([object()])


# --- version of code


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return write_package(tmp_path, PACKAGE)


@pytest.mark.parametrize("edited", ["calc.py", "helper.py", "sub/__init__.py", "sub/deep.py", "sub/other.py"])
def test_an_edit_counts_where_it_is_imported(package: Path, edited: str) -> None:
    before = code_version("golden_package.calc")
    path = package / edited
    path.write_text(path.read_text() + "\nadded = 1\n")
    assert code_version("golden_package.calc") != before


def test_the_packages_init_counts(package: Path) -> None:
    before = code_version("golden_package.calc")
    (package / "__init__.py").write_text("x = 1\n")
    assert code_version("golden_package.calc") != before


def test_what_is_not_imported_does_not_count(package: Path) -> None:
    before = code_version("golden_package.calc")
    (package / "unused.py").write_text("raise ValueError\n")
    (package / "new.py").write_text("x = 1\n")
    assert code_version("golden_package.calc") == before


def test_comments_layout_and_docstrings_do_not_count(package: Path) -> None:
    before = code_version("golden_package.calc")
    helper = package / "helper.py"
    helper.write_text('"""What it is."""\n\n# why\ndef twice( x ):\n    "Doc."\n    return (2*x)  # so\n')
    assert code_version("golden_package.calc") == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = {**a, 'k': b}", "x = {'k': b, **a}"),
        ("f(a, *b)", "f(*a, b)"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = '1'", "x = 1"),
        ("x = None", "x = ..."),
        ("def f(a, b=1): pass", "def f(a=1, b=1): pass"),
        ("def f(*, a, b=1): pass", "def f(*, a=1, b): pass"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("global a, b", "global a"),
        ("global a, b", "global b, a"),
        ("x: int", "x: int = None"),
        ("f'{a}'", "f'{a!r}'"),
        ("f'{a}'", "f'{a:b}'"),
        ("return_ = a if b else c", "return_ = b if a else c"),
        ("for x in y:\n  pass", "for x in y:\n  break"),
        ("for x in y:\n  pass\nelse:\n  z", "for x in y:\n  pass\nz"),
        ("from . import a", "from .a import a"),
    ],
)
def test_code_that_differs_has_another_version(package: Path, one: str, other: str) -> None:
    helper = package / "helper.py"
    helper.write_text(one)
    before = code_version("golden_package.calc")
    helper.write_text(other)
    assert code_version("golden_package.calc") != before


def test_deep_code_is_no_problem(package: Path) -> None:
    (package / "helper.py").write_text("x = (" + " + ".join(["1"] * 900) + ")\n")
    assert len(code_version("golden_package.calc")) == 16


def test_nothing_is_imported(package: Path) -> None:
    (package / "helper.py").write_text("def f():\n    from .unused import gone\n    from .unused.deeper import x\n")
    code_version("golden_package.calc")
    assert not [name for name in sys.modules if name.startswith("golden_package.")]


def test_imports_outside_of_the_package_do_not_count(package: Path) -> None:
    whole, part = code_version("golden_package.sub.deep"), code_version("golden_package.sub.deep", "golden_package.sub")
    (package / "helper.py").write_text("x = 2\n")
    assert code_version("golden_package.sub.deep") != whole
    assert code_version("golden_package.sub.deep", "golden_package.sub") == part


def test_there_must_be_such_a_module(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"golden_package\.none"):
        code_version("golden_package.none")


def test_an_extension_has_no_version() -> None:
    with pytest.raises(OSError, match="pin its computations with version="):
        code_version("pydantic_core._pydantic_core")
