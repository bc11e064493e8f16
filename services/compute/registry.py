"""The computations that a service can serve: each with all that was worked out once, when the service started.

`validate_json`, `identify` and `dump` are on the path of every request, so what they need is made ready here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, PydanticSerializationError

from services.compute import schemas
from services.compute.declare import Declaration, declaration_of, place, refuse
from services.compute.discovery import find_functions, version_of
from services.compute.errors import RegistrationError
from services.compute.guards import guarded_reader
from services.compute.identity import Identity, canonical_fields
from services.compute.lossless import inspect_model
from services.compute.parameters import Call, read_signature
from services.compute.wire import Writer, json_writer, parameter_writer


@dataclass(frozen=True, slots=True, eq=False)
class Computation:
    """A registered function, ready to serve.

    Attributes:
        name: unique among the served computations; leads its task ids.
        version: pinned by the author, or 16 hex digits over its code.
        description: the docstring, may be empty.
        summary: its first line.
        function: what the author wrote.
        parameters: model of the parameters.
        result: the declared result type, to write results with.
        result_ttl: seconds a final record is kept.
        timeout: seconds an attempt may run.
        max_attempts: attempts before the task is FAILED.
        module: dotted name of the author's module.
    """

    name: str
    version: str
    description: str
    summary: str
    function: Callable[..., object]
    parameters: type[BaseModel]
    result: TypeAdapter[Any]
    result_ttl: float
    timeout: float
    max_attempts: int
    module: str
    _identity: Identity
    _read: Callable[..., BaseModel]
    _write: Writer
    _write_data: Writer
    _call: Call
    _checked: bool

    def validate_json(self, body: bytes) -> BaseModel:
        """Return validated parameters from a JSON object.

        Raises:
            pydantic.ValidationError: it is not JSON, or not these parameters; unknown fields are refused.
        """
        parameters = self._read(body, extra="forbid")
        if self._checked:
            self._check(parameters)
        return parameters

    def validate(self, data: object) -> BaseModel:
        """Return validated parameters from parsed JSON: exactly what `validate_json` makes of the same JSON.

        Python values that have a JSON form (dates, models, the parameter model itself) are taken as well.

        Raises:
            pydantic.ValidationError: these are not the parameters; unknown fields are refused.
        """
        try:
            body = self._write(data) if isinstance(data, self.parameters) else self._write_data(data)
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._invalid("not_json", "the parameters have no JSON form", data) from error
        return self.validate_json(body)

    def identify(self, parameters: BaseModel) -> str:
        """Return the id of the task that runs this computation with validated parameters."""
        return self._identity.task_id(parameters)

    def dump(self, parameters: BaseModel) -> bytes:
        """Return validated parameters as compact JSON; `validate_json` makes equal parameters of it."""
        return self._write(parameters)

    def call(self, parameters: BaseModel) -> object:
        """Run the author's function; whatever it raises comes through."""
        return self._call(parameters)

    def parameters_schema(self) -> dict[str, Any]:
        """Return a new JSON Schema of the parameters, with `$defs`."""
        return schemas.parameters_schema(self.parameters)

    def result_schema(self) -> dict[str, Any]:
        """Return a new JSON Schema of the result as it is written, with `$defs`."""
        return schemas.result_schema(self.result)

    def _check(self, parameters: BaseModel) -> None:
        """Refuse values that the worker would not get as they were identified.

        These are rare: a NaN where a string is as good, or a validator of the author's that makes something else
        of its own output.
        """
        try:
            again = self._read(self._write(parameters), extra="forbid")
            same = canonical_fields(again) == canonical_fields(parameters)
        except (ValidationError, PydanticSerializationError, TypeError, ValueError):
            same = False
        if not same:
            message = "these values do not survive being written as JSON and validated again"
            raise self._invalid("not_reproducible", message, None)

    def _invalid(self, kind: Any, message: Any, data: object) -> ValidationError:
        return ValidationError.from_exception_data(
            self.parameters.__name__, [{"type": PydanticCustomError(kind, message), "loc": (), "input": data}]
        )


class Registry(Mapping[str, Computation]):
    """The served computations by name; never changes.

    Args:
        computations: what to serve.

    Raises:
        RegistrationError: two of them have the same name.
    """

    __slots__ = ("_computations", "_versions")

    def __init__(self, computations: Iterable[Computation] = ()) -> None:
        self._computations: dict[str, Computation] = {}
        for each in sorted(computations, key=lambda each: each.name):
            other = self._computations.setdefault(each.name, each)
            if other is not each:
                raise refuse(
                    each.function,
                    f"the name {each.name!r} is taken by {place(other.function)}",
                    'give one of the two another name with @computation(name="...")',
                )
        self._versions = {name: each.version for name, each in self._computations.items()}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each computation, by name."""
        return dict(self._versions)

    def __getitem__(self, name: str) -> Computation:
        return self._computations[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._computations)

    def __len__(self) -> int:
        return len(self._computations)

    def __repr__(self) -> str:
        return f"Registry({', '.join(f'{name} {version}' for name, version in self._versions.items())})"


def load_registry(modules: Sequence[str] | str = "services.compute.tasks") -> Registry:
    """Import modules, and all that is below those that are packages, and register every computation found.

    Args:
        modules: dotted names, as a sequence or comma-separated (`COMPUTE_MODULES`).

    Raises:
        RegistrationError: a module cannot be imported, or a computation in it cannot be served as written.
    """
    names = [name.strip() for name in (modules.split(",") if isinstance(modules, str) else modules)]
    names = [name for name in names if name]
    found = find_functions(names)
    if not found:
        raise RegistrationError(
            f"no computation in {', '.join(names) or 'COMPUTE_MODULES, which is empty'}. "
            "Cure: decorate a function there with @computation, or name another package in COMPUTE_MODULES."
        )
    return Registry([register(function) for function in found])


def register(function: Callable[..., object]) -> Computation:
    """Make a computation of one decorated function.

    Args:
        function: decorated with `@computation`.

    Raises:
        RegistrationError: it cannot be served as written.
    """
    options = declaration_of(function)
    if options is None:
        raise refuse(function, "is no computation", "decorate it with @computation")
    name = function.__name__ if options.name is None else options.name
    return _assemble(function, options, name, options.version or version_of(function))


def _assemble(function: Callable[..., object], options: Declaration, name: str, version: str) -> Computation:
    signature = read_signature(function, name)
    model = signature.parameters
    found = inspect_model(model, lambda problem, cure: refuse(function, problem, cure))
    description = inspect.getdoc(function) or ""
    made = Computation(
        name=name,
        version=version,
        description=description,
        summary=description.partition("\n")[0].strip(),
        function=function,
        parameters=model,
        result=signature.result,
        result_ttl=float(options.result_ttl),
        timeout=float(options.timeout),
        max_attempts=options.max_attempts,
        module=function.__module__,
        _identity=Identity(name, version),
        _read=guarded_reader(model),
        _write=parameter_writer(model, floats=found.floats),
        _write_data=json_writer(model.model_config.get("val_json_bytes", "utf8")),
        _call=signature.call,
        _checked=found.checked,
    )
    for what, schema in (("parameters", made.parameters_schema), ("result", made.result_schema)):
        try:
            schema()
        except Exception as error:
            problem = f"its {what} have no JSON Schema: {str(error).partition(chr(10))[0]}"
            raise refuse(function, problem, "use types that Pydantic can describe, or add WithJsonSchema") from error
    return made
