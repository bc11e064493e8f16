"""The decorator that makes a typed function a computation.

It only writes the options down on the function, which stays an ordinary one; the registry does the rest when
a service starts, since only then the author's module is complete.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import FrameType, ModuleType
from typing import Any, TypeVar, overload

from services.compute.errors import RegistrationError

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__computation__"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+]{0,63}")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the author wrote in `@computation(...)`; name and version None until the registry derives them.

    Attributes:
        name: the computation's name; the function's where None.
        version: pinned version; None for a digest of the code.
        result_ttl: seconds a final record is kept.
        timeout: seconds an attempt may run.
        max_attempts: attempts before the task is FAILED.
    """

    name: str | None
    version: str | None
    result_ttl: float
    timeout: float
    max_attempts: int


@overload
def computation(function: F, /) -> F: ...
@overload
def computation(
    *,
    name: str | None = None,
    version: str | None = None,
    result_ttl: float = 86_400.0,
    timeout: float = 3_600.0,
    max_attempts: int = 4,
) -> Callable[[F], F]: ...
def computation(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    result_ttl: float = 86_400.0,
    timeout: float = 3_600.0,
    max_attempts: int = 4,
    **unknown: object,
) -> Any:
    """Declare a function a computation: an endpoint, with documentation, caching, progress and cancellation.

    Parameters come from the annotations, or from a Pydantic model that is the function's only positional
    parameter; the result type from the return annotation; the description from the docstring. The function
    itself is returned unchanged. Usable bare, as `@computation`.

    Args:
        function: the function, when used bare.
        name: the computation's name, `[a-z][a-z0-9_]*`, at most 64 characters; default the function's.
        version: pins the version; default a digest of the code, so that edited code computes anew.
        result_ttl: seconds a result is kept; default a day.
        timeout: seconds an attempt may run; default an hour.
        max_attempts: attempts before the task is FAILED, when workers die or the function raises `Retry`; default 4.
        **unknown: refused, in words that name the options.

    Raises:
        RegistrationError: an option is unknown or has no valid value, or this is no function that can be served.
    """
    if unknown:
        raise RegistrationError(
            f"{_line(_caller())}: @computation has no option {', '.join(map(repr, unknown))}. "
            f"Cure: its options are {', '.join(each.name for each in fields(Declaration))}."
        )
    declaration = Declaration(name, version, result_ttl, timeout, max_attempts)

    def declare(target: F) -> F:
        caller = _caller()
        _check_function(target, _line(caller))
        _check_options(target, declaration)
        setattr(target, _ATTRIBUTE, declaration)
        _declared.append(Declared(target, caller.f_globals, _line(caller)))
        return target

    return declare if function is None else declare(function)


@dataclass(frozen=True, slots=True)
class Declared:
    """A function that was decorated.

    Attributes:
        function: what the decorator was applied to.
        namespace: names of the module in which it was applied.
        line: file and line where.
    """

    function: Callable[..., Any]
    namespace: dict[str, Any]
    line: str


_declared: list[Declared] = []
"""All that was decorated in this process. It holds the functions, or one that another has replaced would be gone."""


def declared_in(module: ModuleType) -> list[Declared]:
    """Return all that was decorated by a module's code, whether or not the module still has it."""
    names = vars(module)
    return [
        each for each in _declared if each.namespace is names or getattr(each.function, "__globals__", None) is names
    ]


def _caller() -> FrameType:
    """The frame outside this module that is at work."""
    frame = sys._getframe(1)
    while frame.f_globals is globals() and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def declaration_of(value: object) -> Declaration | None:
    """Return what `@computation` wrote on a function; None where there is nothing."""
    found = getattr(value, _ATTRIBUTE, None) if inspect.isfunction(value) else None
    return found if isinstance(found, Declaration) else None


def place(function: Callable[..., Any]) -> str:
    """Name a function for an error message: file, line and name."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    name = getattr(function, "__qualname__", repr(function))
    return f"{code.co_filename}:{code.co_firstlineno}, {name}" if code else name


def refuse(function: Callable[..., Any], problem: str, cure: str) -> RegistrationError:
    """Make the error for a function that cannot be served as written."""
    return RegistrationError(f"{place(function)}: {problem}. Cure: {cure}.")


def _check_function(function: Callable[..., Any], line: str) -> None:
    if not inspect.isfunction(function):
        raise RegistrationError(
            f"{line}: @computation on {function!r}: only plain functions can be served. "
            "Cure: write a `def`, and put @computation above its other decorators; options have names, as in "
            '@computation(name="...").'
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise refuse(function, "is an async function, but computations run in threads", "write it as a plain `def`")
    if inspect.isgeneratorfunction(function):
        raise refuse(function, "is a generator", "return the whole result, and report progress with report_progress()")
    if function.__name__ == "<lambda>":
        raise refuse(function, "is a lambda", "write it as a `def` with annotations")


def _check_options(function: Callable[..., Any], options: Declaration) -> None:
    name: object = function.__name__ if options.name is None else options.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refuse(
            function,
            f"{name!r} is no name for a computation",
            'give it one with name="...": small letters, digits and _, a letter first, at most 64 characters',
        )
    version: object = options.version
    if version is not None and not (isinstance(version, str) and _VERSION.fullmatch(version)):
        raise refuse(
            function,
            f"{version!r} is no version",
            'use letters, digits and "._+", at most 64 characters, or leave it out',
        )
    for option in ("result_ttl", "timeout"):
        value = getattr(options, option)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.001 <= value <= 1e9:
            raise refuse(function, f"{option}={value!r} is no time", f"give {option} as seconds, at least 0.001")
    attempts: object = options.max_attempts
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= 1000:
        raise refuse(function, f"max_attempts={attempts!r} is no number of attempts", "give 1 to 1000")
