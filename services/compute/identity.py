"""Identity: which requests are the same task, and which code is the same version.

`canonical` writes a validated value so that two values have the same bytes exactly when a function could not
tell them apart: 1, 1.0 and true differ, 0.0 and -0.0 differ, NaN equals NaN, and neither the order of a set
or of keys nor the interpreter or its hash seed matters. Plain JSON will not do: Pydantic writes NaN and None
alike, and a set in the order of the hash seed.

`code_version` digests the syntax trees of a module and of what it imports within its package, so that an
edited helper counts and a comment does not.

Standard library only, so that the same bytes can be checked under any interpreter; Pydantic's models are
recognised by their attributes.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime as dt
import hashlib
import importlib.util
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import PurePath
from typing import Any
from uuid import UUID

Encoder = Callable[[Any], str]

DIGEST_BYTES = 16
_VERSION_BYTES = 8
_TEXT_MODULES = frozenset(
    {"ipaddress", "zoneinfo", "pydantic.networks", "pydantic_core", "pydantic_core._pydantic_core"}
)


# --- canonical encoding ---------------------------------------------------------------------------------------
# Every piece is self-delimiting: a tag, then either a length, or text that cannot hold its own terminator.


def canonical(value: object) -> bytes:
    """Return the canonical encoding of a validated value.

    Raises:
        TypeError: the value, or one inside it, is of a type that has no canonical form.
    """
    return _encode(value).encode("utf-8", "surrogatepass")


def canonical_fields(model: Any) -> bytes:
    """Return the canonical encoding of a model's fields, without the name of its class.

    Raises:
        TypeError: a field's value has no canonical form.
    """
    return _fields_encoder(type(model))(model).encode("utf-8", "surrogatepass")


class Identity:
    """Derives task ids of one computation; the part that never changes is hashed once.

    Args:
        name: the computation's name.
        version: its version.
    """

    __slots__ = ("_hash", "_name")

    def __init__(self, name: str, version: str) -> None:
        self._name = f"{name}-"
        self._hash = hashlib.blake2b(
            f"tidegate1{_string(name)}{_string(version)}".encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES
        )

    def task_id(self, parameters: object) -> str:
        """Return `<name>-<32 hex digits>` for validated parameters (a Pydantic model)."""
        digest = self._hash.copy()
        digest.update(canonical_fields(parameters))
        return self._name + digest.hexdigest()


def task_id(name: str, version: str, parameters: object) -> str:
    """Return the id of the task that runs `name` in `version` with `parameters` (a validated Pydantic model)."""
    return Identity(name, version).task_id(parameters)


def _encode(value: object) -> str:
    kind: type = type(value)
    return (_ENCODERS.get(kind) or _encoder(kind))(value)


def _encoder(kind: type) -> Encoder:
    """Find how values of a type are written, and remember it."""
    found = _ENCODERS[kind] = _find_encoder(kind)
    return found


def _find_encoder(kind: type) -> Encoder:
    if issubclass(kind, Enum):
        return lambda value: f"E{_string(kind.__qualname__)}{_encode(value.value)}"
    if hasattr(kind, "__pydantic_fields__") or dataclasses.is_dataclass(kind):
        head, fields = f"m{_string(kind.__qualname__)}", _fields_encoder(kind)
        return lambda value: head + fields(value)
    for base in kind.__mro__:
        if base in _ENCODERS:
            return _ENCODERS[base]
    if issubclass(kind, PurePath):
        return lambda value: f"P{_string(str(value))}"
    if kind.__module__ in _TEXT_MODULES:
        return lambda value: f"X{_string(kind.__qualname__)}{_string(str(value))}"
    raise TypeError(f"a value of type {kind.__module__}.{kind.__qualname__} has no canonical form")


def _fields_encoder(kind: type) -> Encoder:
    """Return what writes a model's or dataclass's fields, sorted by name."""
    return _FIELDS.get(kind) or _FIELDS.setdefault(kind, _make_fields_encoder(kind))


def _make_fields_encoder(kind: type) -> Encoder:
    if hasattr(kind, "__pydantic_fields__"):
        names = sorted(kind.__pydantic_fields__)
    else:
        names = sorted(field.name for field in dataclasses.fields(kind))
    keys = tuple((name, _string(name)) for name in names)
    encoders = _ENCODERS

    def encode(value: object) -> str:
        parts = ["{"]
        for name, key in keys:
            item = getattr(value, name)
            item_kind = type(item)
            parts.append(key)
            parts.append((encoders.get(item_kind) or _encoder(item_kind))(item))
        parts.append("}")
        return "".join(parts)

    return encode


def _string(value: str) -> str:
    return f"s{len(value)}:{value}"


def _float(value: float) -> str:
    if math.isnan(value):
        return "dnan;"  # one NaN: sign and payload are lost in JSON anyway
    return f"d{float.hex(value)};"  # inf, -inf and -0x0.0p+0 come out as such


def _sequence(tag: str) -> Encoder:
    def encode(value: Iterable[object]) -> str:
        return f"{tag}[{''.join([_encode(item) for item in value])}]"

    return encode


def _set(value: Iterable[object]) -> str:
    return f"S[{''.join(sorted([_encode(item) for item in value]))}]"


def _mapping(value: Mapping[object, object]) -> str:
    pairs = sorted([(_encode(key), _encode(item)) for key, item in value.items()])
    return f"D[{''.join([key + item for key, item in pairs])}]"


def _timedelta(value: dt.timedelta) -> str:
    return f"R{value.days},{value.seconds},{value.microseconds};"


_FIELDS: dict[type, Encoder] = {}
_ENCODERS: dict[type, Encoder] = {
    type(None): lambda _: "n",
    bool: lambda value: "t" if value else "f",
    int: lambda value: f"i{value:x};",  # hexadecimal: no limit on digits, and linear
    float: _float,
    complex: lambda value: f"c{_float(value.real)}{_float(value.imag)}",
    str: lambda value: f"s{len(value)}:{value}",
    bytes: lambda value: f"b{value.hex()};",
    bytearray: lambda value: f"b{value.hex()};",
    list: _sequence("l"),
    tuple: _sequence("u"),
    deque: _sequence("q"),
    set: _set,
    frozenset: _set,
    dict: _mapping,
    OrderedDict: lambda value: f"O[{''.join([_encode(key) + _encode(item) for key, item in value.items()])}]",
    dt.datetime: lambda value: f"T{value.isoformat()};",
    dt.date: lambda value: f"A{value.isoformat()};",
    dt.time: lambda value: f"H{value.isoformat()};",
    dt.timedelta: _timedelta,
    Decimal: lambda value: f"N{value};",
    Fraction: lambda value: f"F{value.numerator:x}/{value.denominator:x};",
    UUID: lambda value: f"U{value.hex};",
}


# --- version of code ------------------------------------------------------------------------------------------


def code_version(module: str, package: str | None = None) -> str:
    """Return 16 hex digits over the syntax trees of a module and of all it imports within its package.

    The same under every supported Python. Counted are modules that an import statement names, anywhere in the
    code, and the `__init__` of each package on the way; comments, layout and docstrings are not.

    Args:
        module: the module's dotted name; it can be imported.
        package: imports below this package are followed; default the module's top-level package.

    Raises:
        ModuleNotFoundError: there is no such module.
        OSError: the module has no source.
    """
    root = package or module.partition(".")[0]
    waiting, seen = {module, *_lineage(module, root)}, dict[str, str]()
    while waiting:
        name = waiting.pop()
        spec = _find(name)
        if spec is None and name != module:
            seen[name] = ""  # an attribute rather than a module
            continue
        if spec is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        source = _source(spec)
        if source is None:
            if name == module:
                raise OSError(f"module {module} has no Python source to digest: pin its computations with version=")
            seen[name] = ""
            continue
        tree = _tree(source)
        seen[name] = tree.digest
        for imported in tree.imports(name if _is_package(spec) else name.rpartition(".")[0]):
            waiting.update(part for part in _lineage(imported, root) if part not in seen)
    digest = hashlib.blake2b(digest_size=_VERSION_BYTES)
    for name, counted in sorted(seen.items()):
        if counted:
            digest.update(f"{_string(name)}{_string(counted)}".encode())
    return digest.hexdigest()


def _lineage(name: str, root: str) -> list[str]:
    """Return a module and the packages above it, as far as they are the root package or below it."""
    parts = name.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    return [name for name in names if name == root or name.startswith(f"{root}.")]


def _find(name: str) -> ModuleSpec | None:
    """Find a module without importing it or what is above it: in the API a heavy helper is never imported."""
    above = name.rpartition(".")[0]
    try:
        if not above:
            return importlib.util.find_spec(name)
        spec = _find(above)
        return PathFinder.find_spec(name, spec.submodule_search_locations) if spec and _is_package(spec) else None
    except (ImportError, ValueError):
        return None


def _is_package(spec: ModuleSpec) -> bool:
    return spec.submodule_search_locations is not None


def _source(spec: ModuleSpec) -> str | None:
    """Return a module's source; None where there is none (an extension)."""
    get_source: Callable[[str], str | None] | None = getattr(spec.loader, "get_source", None)
    text = get_source(spec.name) if get_source else None
    return "" if text is None and _is_package(spec) else text


@dataclasses.dataclass(frozen=True, slots=True)
class _Tree:
    """What of one source file counts: its digest, and the imports as (level, module, names)."""

    digest: str
    statements: tuple[tuple[int, str, tuple[str, ...]], ...]

    def imports(self, package: str) -> Iterator[str]:
        """Name every module that may be imported from within `package` (attributes among them)."""
        for level, module, names in self.statements:
            base = module
            if level:
                above = package.rsplit(".", level - 1)[0] if level > 1 else package
                base = f"{above}.{module}" if module else above
            yield base
            for name in names:
                yield f"{base}.{name}"


@lru_cache(maxsize=256)
def _tree(source: str) -> _Tree:
    tree = ast.parse(source)
    statements: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            statements.extend((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            statements.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in _walk(tree):
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return _Tree(digest.hexdigest(), tuple(statements))


def _walk(tree: ast.AST) -> Iterator[str]:
    """Write a syntax tree in an unambiguous form that all supported Pythons share.

    A field that is None or [] is left out, since newer Pythons add such fields. No recursion: a sum of a
    thousand terms is a tree a thousand deep.
    """
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, ast.AST):
            yield f"({type(item).__name__}"
            stack.append(")")
            for name, value in reversed(_counted_fields(item)):
                stack.append(value if isinstance(value, (ast.AST, list)) else _encode_constant(value))
                stack.append(f".{name}")
        elif isinstance(item, list):
            yield f"[{len(item)}"
            stack.extend("n" if element is None else element for element in _texts(reversed(item)))


def _texts(items: Iterable[object]) -> Iterator[object]:
    """Write plain values in a list (the names of `global a, b`) as constants, so that they cannot pass for marks."""
    for item in items:
        yield item if item is None or isinstance(item, (ast.AST, list)) else _encode_constant(item)


def _counted_fields(node: ast.AST) -> list[tuple[str, Any]]:
    fields = [(name, getattr(node, name, None)) for name in node._fields if name != "kind"]  # kind: the u of u""
    if isinstance(node, ast.JoinedStr):  # 3.12 writes an empty format specification as a constant ""
        fields = [("values", [part for part in node.values if not (isinstance(part, ast.Constant) and not part.value)])]
    elif isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        fields = [(name, body if name == "body" else value) for name, value in fields]
    return [(name, value) for name, value in fields if value is not None and value != []]


def _encode_constant(value: object) -> str:
    return "..." if value is Ellipsis else _encode(value)
