"""Finds the authors' computations: imports packages with all that is below them and looks for the decorator."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from services.compute.declare import declaration_of, declared_in, refuse
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
        RegistrationError: a module cannot be imported, or a decorated function in it would not be served.
    """
    found: dict[int, Function] = {}
    modules: dict[str, ModuleType] = {}
    for entry in entries:
        for module in _import_tree(entry, entry):
            modules[module.__name__] = module
            for value in vars(module).values():
                if _declared_in(value, module):
                    found.setdefault(id(value), value)
    _check_all_found(modules.values(), found.values())
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
    except SystemExit as error:
        raise RegistrationError(
            f"{_place(error, name)}: module {name} ends the process when it is imported (SystemExit: {error}). "
            'Cure: keep what only a script does under `if __name__ == "__main__":`.'
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


def _check_all_found(modules: Iterable[ModuleType], found: Iterable[Function]) -> None:
    """Refuse what was decorated in these modules and is not among their names: it would vanish without a word."""
    known = {id(each) for function in found for each in _unwrapped(function)}
    for module in modules:
        for each in declared_in(module):
            if id(each.function) not in known:
                raise _lost(each.function, module)


def _unwrapped(function: Function) -> Iterator[Function]:
    """A function, and what `functools.wraps` says is inside it."""
    yield function
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        yield (function := inner)


def _lost(function: Function, module: ModuleType) -> RegistrationError:
    name = function.__name__
    now = vars(module).get(name)
    if function.__module__ != module.__name__:
        return refuse(
            function,
            f"a decorator below @computation in {module.__file__} has put this in the place of the author's function",
            "use functools.wraps in that decorator",
        )
    if "<locals>" in function.__qualname__:
        return refuse(function, "is defined inside a function", "define it at the top of its module")
    if function.__qualname__ != name:
        return refuse(function, "is a method", "write it as a function at the top of its module")
    if inspect.isfunction(now) and now.__name__ == name and not hasattr(now, "__wrapped__"):
        line = now.__code__.co_firstlineno
        return refuse(function, f"another {name!r} in line {line} hides it", "give one of the two another name")
    if now is None:
        return refuse(function, f"its module has no {name!r} any more", "leave it where it is")
    return refuse(
        function,
        f"{name!r} is something else in its module, probably what a decorator above @computation made of it",
        "put @computation above all other decorators",
    )
