"""Results as JSON: from what a computation returned, under its declared type, to the bytes that clients get.

JSON has no NaN and no infinities: in the place of a number they are the strings "NaN", "Infinity" and
"-Infinity", and `decode` makes numbers of them again wherever the declared type says float. Integers keep all
their digits. Arrays are nested lists, frames pandas' `split` form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from services.compute.errors import CodecError
from services.compute.plain import to_plain
from services.compute.promise import result_check
from services.compute.wire import Writer, result_writer

_MESSAGE_MAX = 500


def encode(result: object, adapter: TypeAdapter[Any]) -> bytes:
    """Return a result as JSON.

    Args:
        result: what the computation returned; arrays, frames and their scalars may be anywhere in it.
        adapter: of the declared result type.

    Raises:
        CodecError: it is not of the declared type, or something in it has no JSON form.
    """
    try:
        plain = to_plain(result)
        if plain is not result:
            # A list made of an array may stand for a declared tuple or set: validation makes it one.
            plain = adapter.validate_python(plain, by_alias=True, by_name=True)
        data = _writer(adapter)(plain)
        _check(adapter)(plain)  # afterwards, since the serializer knows better what is wrong
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        forgotten = ". Was `return` forgotten?" if result is None else ""
        raise _error(result, f"{first['msg']}{f' (at {where})' if where else ''}{forgotten}") from error
    except (PydanticSerializationError, RecursionError, TypeError, ValueError) as error:
        raise _error(result, _reason(error)) from error
    return data


def decode(data: bytes, adapter: TypeAdapter[Any]) -> Any:
    """Return the value that `encode` wrote.

    NaN and infinities come back wherever the declared type says float. Under Any, Array and Frame they stay
    strings, which `numpy.array(value, dtype=float)` and `frame.astype(float)` take as numbers.

    Args:
        data: JSON.
        adapter: of the declared result type.

    Raises:
        CodecError: it is not JSON of that type.
    """
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise CodecError(f"these bytes are no result of type {_name(adapter)}: {first['msg']}") from error


@lru_cache(maxsize=1024)
def _writer(adapter: TypeAdapter[Any]) -> Writer:
    return result_writer(adapter.core_schema)


@lru_cache(maxsize=1024)
def _check(adapter: TypeAdapter[Any]) -> Callable[[Any], object]:
    return result_check(adapter.core_schema)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply, or holds itself"
    text = str(error).replace("Pydantic serializer warnings:", "").replace("PydanticSerializationUnexpectedValue", "")
    text = " ".join(text.split()).replace(" - serialized value may not be as expected", "")
    return text if len(text) <= _MESSAGE_MAX else f"{text[:_MESSAGE_MAX]}…"


def _error(result: object, reason: str) -> CodecError:
    kind = type(result)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return CodecError(
        f"the result, of type {name}, has no JSON form under the declared result type: {reason}. "
        "Return what the return annotation says, of numbers, text, dates, lists, dicts, models, arrays or frames"
    )


def _name(adapter: TypeAdapter[Any]) -> str:
    return getattr(adapter._type, "__name__", None) or str(adapter._type)
