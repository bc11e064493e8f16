"""From a function's signature to its parameter model, and to a way of calling it with one.

A function either lists its parameters, and a model is made of them, or takes a Pydantic model of the author's
as its only positional parameter, and then that is the parameter model.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo

from services.compute.declare import refuse
from services.compute.promise import check_complete

Call = Callable[[BaseModel], object]

MODEL_CONFIG = ConfigDict(
    extra="forbid",
    frozen=True,
    validate_default=True,
    ser_json_inf_nan="strings",
    ser_json_bytes="base64",
    val_json_bytes="base64",
)
"""Of models made from signatures; bytes are base64 in JSON."""

_RESULT_CONFIG = ConfigDict(ser_json_inf_nan="strings", ser_json_bytes="base64", val_json_bytes="base64")
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives.

    Attributes:
        parameters: model of the parameters.
        result: the declared result type.
        call: runs the function with an instance of the model.
    """

    parameters: type[BaseModel]
    result: TypeAdapter[Any]
    call: Call


def read_signature(function: Callable[..., object], name: str) -> Signature:
    """Read what a function takes and gives from its annotations.

    Args:
        function: the author's function.
        name: the computation's name; the made model is named after it.

    Raises:
        RegistrationError: an annotation is missing, unknown or of no use.
    """
    listed = list(inspect.signature(function).parameters.values())
    hints = _hints(function)
    for parameter in listed:
        if parameter.kind in _VARIADIC:
            star = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
            raise refuse(
                function, f"takes {star}{parameter.name}", "list the parameters one by one, each with its type"
            )
        if parameter.name not in hints:
            raise refuse(
                function,
                f"parameter {parameter.name!r} has no annotation",
                f"write its type, as in `{parameter.name}: int`",
            )
    if "return" not in hints:
        raise refuse(function, "has no return annotation", "write the type of its result, as in `-> float`")
    result = _result_adapter(function, hints["return"])
    model = _own_model(function, listed, hints)
    if model is not None:
        return Signature(model, result, function)
    return Signature(_make_model(function, name, listed, hints), result, _caller(function, listed))


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise refuse(
            function,
            f"an annotation names {error.name!r}, which is not known in the module when it is imported",
            "import it at the module's top (not under TYPE_CHECKING, not inside a function); for arrays and frames, "
            "whose libraries are too heavy for that, use Array, Frame or Series of services.compute",
        ) from error
    except Exception as error:
        raise refuse(function, f"an annotation cannot be read: {error}", "correct it") from error


def _own_model(
    function: Callable[..., object], listed: list[inspect.Parameter], hints: dict[str, Any]
) -> type[BaseModel] | None:
    """Return the author's model where it is the function's only parameter, and positional."""
    if len(listed) != 1 or listed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return None
    hint = hints[listed[0].name]
    if not (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return None
    if issubclass(hint, RootModel):
        raise refuse(
            function,
            f"the parameter model {hint.__name__} is a RootModel, but parameters are a JSON object",
            "use a BaseModel with named fields",
        )
    try:
        hint.model_rebuild()
    except PydanticUserError as error:
        raise refuse(function, f"the parameter model {hint.__name__} is not complete: {error}", "correct it") from error
    return hint


def _make_model(
    function: Callable[..., object], name: str, listed: list[inspect.Parameter], hints: dict[str, Any]
) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for parameter in listed:
        if parameter.name.startswith("_"):
            raise refuse(function, f"parameter {parameter.name!r} begins with an underscore", "rename it")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        if hasattr(BaseModel, parameter.name):  # `copy`, `json`: the field takes another name, the wire keeps this one
            if isinstance(default, FieldInfo):
                raise refuse(function, f"parameter {parameter.name!r} has a Field() as its default", "use Annotated")
            default = Field(default, alias=parameter.name)
        fields[_field_name(parameter.name)] = (hints[parameter.name], default)
    title = "".join(part.capitalize() for part in name.split("_")) + "Parameters"
    try:
        return create_model(title, __config__=MODEL_CONFIG, __module__=function.__module__, **fields)
    except (
        PydanticSchemaGenerationError,
        PydanticUndefinedAnnotation,
        PydanticUserError,
        TypeError,
        ValueError,
    ) as error:
        raise refuse(
            function,
            f"a parameter's type cannot be read from JSON: {_first_line(error)}",
            "use types that Pydantic can validate: numbers, text, dates, lists, dicts, enums, models",
        ) from error


def _field_name(name: str) -> str:
    return f"{name}_" if hasattr(BaseModel, name) else name


def _caller(function: Callable[..., object], listed: list[inspect.Parameter]) -> Call:
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    positional = [_field_name(each.name) for each in listed if each.kind is not keyword_only]
    keywords = [(each.name, _field_name(each.name)) for each in listed if each.kind is keyword_only]

    def call(parameters: BaseModel) -> object:
        return function(
            *[getattr(parameters, field) for field in positional],
            **{name: getattr(parameters, field) for name, field in keywords},
        )

    return call


def _result_adapter(function: Callable[..., object], hint: Any) -> TypeAdapter[Any]:
    try:
        try:
            adapter = TypeAdapter(hint, config=_RESULT_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":  # models bring their own
                raise
            adapter = TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError, TypeError) as error:
        raise refuse(
            function,
            f"the result type {hint!r} has no JSON form: {_first_line(error)}",
            "return a type that Pydantic can serialise, or Array, Frame or Series of services.compute",
        ) from error
    check_complete(adapter.core_schema, lambda problem, cure: refuse(function, problem, cure))
    return adapter


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")
