"""Finds the authors' computations: imports packages with all that is below them and looks for the decorator."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from services.compute.declare import declaration_of, refuse
from services.compute.errors import RegistrationError
from services.compute.identity import code_version

Function = Callable[..., object]

_OWN = __name__.partition(".")[0]
_ROOM = f"{__package__}.tasks"


def find_functions(entries: Iterable[str]) -> list[Function]:
    """Import modules and packages and return the decorated functions.

    Args:
        entries: dotted names of modules or packages; all modules below a package are imported.

    Raises:
        RegistrationError: a module cannot be imported, or a function in it hides another one.
    """
    found: dict[int, Function] = {}
    for entry in entries:
        for module in _import_tree(entry, entry):
            functions = [value for value in vars(module).values() if _declared_in(value, module)]
            if functions:
                _check_hidden(module, functions)
            for function in functions:
                found.setdefault(id(function), function)
    return list(found.values())


def version_of(function: Function) -> str:
    """Return the digest of a function's code: its module, and what that imports within its package.

    Its package is the top-level one; of Tidegate's own code only the authors' room counts, so that a change of
    the machinery does not make every result old.

    Raises:
        RegistrationError: there is no source to digest.
    """
    module = function.__module__
    package = None
    if module.partition(".")[0] == _OWN:
        package = _ROOM if module.startswith(f"{_ROOM}.") else module.rpartition(".")[0]
    try:
        return code_version(module, package)
    except (OSError, ImportError, SyntaxError, ValueError) as error:
        raise refuse(
            function, f"its version cannot be derived: {error}", 'pin it with @computation(version="1")'
        ) from error


def _declared_in(value: object, module: ModuleType) -> bool:
    return declaration_of(value) is not None and getattr(value, "__module__", None) == module.__name__


def _import_tree(name: str, entry: str) -> Iterator[ModuleType]:
    module = _import(name, entry)
    yield module
    for each in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda each: each.name):
        if each.name != "__main__":
            yield from _import_tree(f"{name}.{each.name}", entry)


def _import(name: str, entry: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except RegistrationError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise RegistrationError(
                f"COMPUTE_MODULES names {entry}, but there is no module {error.name}. "
                "Cure: correct the name, or put the directory that holds it on PYTHONPATH."
            ) from error
        raise RegistrationError(
            f"{_place(error, name)}: module {name} imports {error.name}, which is not installed here. "
            "Cure: import heavy libraries inside the function: every service imports this module, and only "
            "workers have them."
        ) from error
    except Exception as error:
        raise RegistrationError(
            f"{_place(error, name)}: module {name} cannot be imported: {type(error).__name__}: {error}. "
            "Cure: make it importable on its own."
        ) from error


def _place(error: BaseException, name: str) -> str:
    """Name file and line where an import failed, skipping the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name


def _check_hidden(module: ModuleType, functions: list[Function]) -> None:
    """Refuse a module that defines one of its computations twice: the first would vanish without a word."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return
    names = {function.__name__: function for function in functions}
    lines: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name not in names or not _decorated(node):
            continue
        if node.name in lines:
            raise refuse(
                names[node.name],
                f"{node.name!r} is defined twice in this file, first in line {lines[node.name]}",
                "give one of the two another name",
            )
        lines[node.name] = node.lineno


def _decorated(node: ast.FunctionDef) -> bool:
    named = [decorator.func if isinstance(decorator, ast.Call) else decorator for decorator in node.decorator_list]
    return any(ast.unparse(name).rpartition(".")[2] == "computation" for name in named)
