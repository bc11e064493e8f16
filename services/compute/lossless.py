"""Refuses, at start, parameter types whose JSON form loses information.

A task's parameters travel as JSON and are validated again where the task runs. So what validation makes of the
JSON must be what was identified: a secret, an excluded field or an opaque object would silently become
something else. This walks Pydantic's core schema of the parameter model; what cannot be judged there by type
alone is reported as `checked`: then each request is written and read back once before it is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, EncodedBytes

from services.compute.coreschema import (
    SECRETS,
    Schema,
    alias_paths,
    find_definitions,
    from_pydantic,
    function_of,
    module_of,
    pydantic_plain,
)
from services.compute.defaults import Refuse, check_default, check_factory

_NUMBERS = frozenset({"none", "bool", "int"})
_TEXTS = frozenset({"decimal", "bytes", "date", "time", "datetime", "timedelta", "uuid", "url", "multi-host-url"})
_CHECKED_TEXTS = frozenset({"complex", "fraction"})
_SEQUENCES = frozenset({"list", "tuple", "set", "frozenset", "deque"})
_MAPPINGS = frozenset({"dict", "ordered-dict", "counter"})
_WRAPPERS = frozenset({"nullable", "default", "custom-error", "json", "model", "model-fields", "dataclass"})
_FUNCTIONS = frozenset({"function-before", "function-after", "function-wrap"})
_KEYS = frozenset({"str", "int", "float", "bool", "uuid", "date", "time", "datetime", "decimal", "enum", "literal"})
_LOSSY_CONFIG = {"ser_json_timedelta": "iso8601", "ser_json_temporal": "iso8601"}
_VALUELESS = SECRETS | {"ImportString._serialize"}


@dataclass(slots=True)
class Lossless:
    """What is known about a parameter model after the walk.

    Attributes:
        checked: each request must be written and read back before it is accepted.
        floats: a number in it may be NaN or infinite, and its model would write that as null.
    """

    checked: bool = False
    floats: bool = False


def inspect_model(model: type[BaseModel], refuse: Refuse) -> Lossless:
    """Walk a parameter model's schema.

    Args:
        model: the parameter model, complete.
        refuse: makes the error that is raised for a type that loses information.

    Raises:
        Exception: what `refuse` made.
    """
    walk = _Walk(refuse)
    walk.definitions = {each["ref"]: each for each in find_definitions(dict(model.__pydantic_core_schema__))}
    walk.visit(dict(model.__pydantic_core_schema__), "")
    return walk.found


@dataclass(slots=True)
class _Walk:
    refuse: Refuse
    found: Lossless = field(default_factory=Lossless)
    definitions: dict[str, Schema] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    configs: list[Schema] = field(default_factory=lambda: [{}])

    def visit(self, schema: Schema, path: str) -> None:
        """Judge a schema and all below it; `path` names the field for the author."""
        kind = schema["type"]
        ref = schema.get("ref")
        if ref in self.seen:
            return
        if ref is not None:
            self.seen.add(ref)
            if ref.startswith("pydantic.types.JsonValue:"):
                self.found.checked = self.found.floats = True
                return
        self._serialization(schema, path)
        method: Callable[[Schema, str], None] | None = getattr(self, f"_{kind.replace('-', '_')}", None)
        if method is not None:
            method(schema, path)
        elif kind in _SEQUENCES:
            self._items(schema, path)
        elif kind in _MAPPINGS:
            self._pairs(schema, path)
        elif kind in _FUNCTIONS:
            self._encoded(schema, path)
            self.found.checked |= not from_pydantic(function_of(schema))
            self.visit(schema["schema"], path)
        elif kind in _WRAPPERS:
            self.visit(schema["schema"], path)
        elif kind in _CHECKED_TEXTS:
            self.found.checked = True
        elif kind not in _NUMBERS and kind not in _TEXTS and kind != "str":
            raise self._opaque(path, f"type {kind!r}")

    # --- leaves

    def _any(self, _schema: Schema, path: str) -> None:
        raise self.refuse(
            f"{_at(path)} may be anything (Any, object, or a bare list or dict), so two requests could not be compared",
            "write its type; for free JSON use pydantic.JsonValue",
        )

    def _float(self, schema: Schema, _path: str) -> None:
        if schema.get("allow_inf_nan", self.configs[-1].get("allow_inf_nan", True)):
            self.found.floats |= self.configs[-1].get("ser_json_inf_nan") != "strings"
            # NaN is written as the string "NaN", which a strict float does not take back.
            self.found.checked |= bool(schema.get("strict", self.configs[-1].get("strict", False)))

    def _enum(self, schema: Schema, path: str) -> None:
        for member in schema["members"]:
            if not isinstance(member.value, (str, int, float, bool, type(None))):
                raise self.refuse(
                    f"{_at(path)}: {schema['cls'].__name__}.{member.name} has a value that is no JSON scalar",
                    "use an Enum of strings or numbers",
                )
        self.found.checked |= schema.get("missing") is not None

    def _literal(self, schema: Schema, path: str) -> None:
        if any(isinstance(value, bytes) for value in schema["expected"]):
            raise self.refuse(f"{_at(path)} is a Literal of bytes", "use strings")

    # --- containers

    def _items(self, schema: Schema, path: str) -> None:
        items = schema.get("items_schema")
        if items is None:
            raise self.refuse(f"{_at(path)} does not say what it holds", f"write {schema['type']}[...] with a type")
        for item in items if isinstance(items, list) else [items]:
            self.visit(item, f"{path}[]")

    def _pairs(self, schema: Schema, path: str) -> None:
        keys, values = schema.get("keys_schema"), schema.get("values_schema", {"type": "int"})
        if keys is None:
            raise self.refuse(f"{_at(path)} does not say what it holds", "write dict[str, ...] with a type")
        for form in self._forms(keys):
            if form == "any":
                self._any(keys, path)
            if form not in _KEYS:
                raise self.refuse(
                    f"{_at(path)} has keys of type {form!r}, which JSON keys (always strings) cannot tell apart",
                    "use string or number keys",
                )
            self.found.checked |= form != "str"
        self.visit(keys, f"{path} keys")
        self.visit(values, f"{path}[]")

    def _named_tuple(self, schema: Schema, path: str) -> None:
        for each in schema["fields"]:
            self.visit(each["schema"], f"{path}.{each['name']}")

    def _union(self, schema: Schema, path: str) -> None:
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
        forms = {form for choice in choices for form in self._forms(choice)}
        texts = sorted(forms & (_TEXTS | _CHECKED_TEXTS))
        if "str" in forms and texts:
            raise self.refuse(
                f"{_at(path)} is a union of str and {texts[0]}, which is written as a string and read back as str",
                "take one of the two, or a union of models with a discriminator",
            )
        self.found.checked |= not forms <= _NUMBERS | {"str", "literal"} and forms & {"float", "none"} != forms
        for choice in choices:
            self.visit(choice, path)

    def _tagged_union(self, schema: Schema, path: str) -> None:
        self.found.checked |= callable(schema["discriminator"])
        for choice in schema["choices"].values():
            if isinstance(choice, dict):  # a string names another choice
                self.visit(choice, path)

    # --- what wraps or names another schema

    def _definitions(self, schema: Schema, path: str) -> None:
        self.visit(schema["schema"], path)

    def _definition_ref(self, schema: Schema, path: str) -> None:
        self.visit(self.definitions[schema["schema_ref"]], path)

    def _lax_or_strict(self, schema: Schema, path: str) -> None:
        if not pydantic_plain(schema["lax_schema"]):
            self.visit(schema["lax_schema"], path)

    def _json_or_python(self, schema: Schema, path: str) -> None:
        self.visit(schema["json_schema"], path)  # parameters only ever come from JSON

    def _chain(self, schema: Schema, path: str) -> None:
        self.found.checked = True
        for step in schema["steps"]:
            self.visit(step, path)

    def _function_plain(self, schema: Schema, path: str) -> None:
        if not pydantic_plain(schema):
            raise self._opaque(path, "the result of a PlainValidator")

    def _default(self, schema: Schema, path: str) -> None:
        self.visit(schema["schema"], path)
        if "default_factory" in schema:
            self.found.checked |= bool(schema.get("default_factory_takes_data"))
            check_factory(schema, _at(path), self.refuse)
        elif "default" in schema:
            kept = not schema.get("validate_default", self.configs[-1].get("validate_default", False))
            check_default(schema, list(self.definitions.values()), _at(path), self.refuse, kept=kept)

    # --- models

    def _model(self, schema: Schema, path: str) -> None:
        name = schema["cls"].__name__
        self._config(schema.get("config", {}), path or name)
        self.found.checked |= bool(schema.get("custom_init") or schema.get("post_init"))
        self.visit(schema["schema"], path)
        self.configs.pop()

    def _dataclass(self, schema: Schema, path: str) -> None:
        self._config(schema.get("config", {}), path)
        self.found.checked |= bool(schema.get("post_init"))
        self.visit(schema["schema"], path)
        self.configs.pop()

    def _model_fields(self, schema: Schema, path: str) -> None:
        for name, each in schema["fields"].items():
            self._field(name, each, path)

    def _typed_dict(self, schema: Schema, path: str) -> None:
        self._config(schema.get("config", {}), path)
        self._model_fields(schema, path)
        self.configs.pop()

    def _dataclass_args(self, schema: Schema, path: str) -> None:
        for each in schema["fields"]:
            if each.get("init_only") or not each.get("init", True):
                raise self.refuse(
                    f"{_at(_join(path, each['name']))} is no ordinary field (init=False or InitVar)",
                    "make it an ordinary field, or a Pydantic model",
                )
            self._field(each["name"], each, path)

    def _field(self, name: str, schema: Schema, path: str) -> None:
        path = _join(path, name)
        if schema.get("serialization_exclude") or schema.get("serialization_exclude_if"):
            raise self.refuse(f"{_at(path)} is excluded from its JSON form", "remove exclude=...")
        alias = schema.get("validation_alias")
        written = schema.get("serialization_alias", name)
        config = self.configs[-1]
        by_name = config.get("validate_by_name", False)
        read = {alias} if isinstance(alias, str) else {one[0] for one in alias_paths(alias) if len(one) == 1}
        read |= {name} if alias is None or by_name else set()
        if written not in read:
            raise self.refuse(
                f"{_at(path)} is written as {written!r} but read as {' or '.join(map(repr, sorted(read, key=str)))}",
                "give it one name for both with alias=...",
            )
        self.visit(schema["schema"], path)

    def _config(self, config: Schema, path: str) -> None:
        self.configs.append(config)
        for option, lossless in _LOSSY_CONFIG.items():
            if config.get(option, lossless) != lossless:
                raise self.refuse(
                    f"the model of {_at(path)} sets {option}={config[option]!r}, which loses digits", "remove it"
                )
        if config.get("ser_json_bytes", "utf8") != config.get("val_json_bytes", "utf8"):
            raise self.refuse(
                f"the model of {_at(path)} writes bytes in another way than it reads them",
                "set ser_json_bytes and val_json_bytes alike",
            )

    # --- helpers

    def _serialization(self, schema: Schema, path: str) -> None:
        """Refuse serializers of the author's: nobody can know whether they lose something."""
        serialization = schema.get("serialization")
        if serialization is None or (serialization["type"] == "to-string" and pydantic_plain(schema)):
            return
        function = serialization.get("function")
        name = getattr(function, "__qualname__", "")
        if name in _VALUELESS:
            raise self.refuse(
                f"{_at(path)} is a secret or an import, of which the JSON form does not hold the value",
                "keep secrets out of parameters: read them where the function runs",
            )
        plain_type = module_of(function) == "builtins" and from_pydantic(function_of(schema))  # ByteSize, by int()
        if not from_pydantic(function) and not plain_type:
            raise self.refuse(
                f"{_at(path)} has a serializer of its own, which may lose information",
                "remove the serializer, or validate and write the same plain type",
            )

    def _encoded(self, schema: Schema, path: str) -> None:
        decoder = getattr(function_of(schema), "__self__", None)
        if isinstance(decoder, EncodedBytes) and self.configs[-1].get("val_json_bytes", "utf8") != "utf8":
            raise self.refuse(
                f"{_at(path)} would be decoded twice, since bytes are base64 in JSON already (Base64Bytes and such)",
                "use bytes",
            )

    def _forms(self, schema: Schema) -> set[str]:
        """Return the kinds of values that a schema lets through, as core schema types."""
        kind = schema["type"]
        if kind == "nullable":
            return {"none"} | self._forms(schema["schema"])
        if kind == "definition-ref":
            return (
                self._forms(self.definitions[schema["schema_ref"]]) if schema["schema_ref"] not in self.seen else {kind}
            )
        if kind == "union":
            choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
            return {form for choice in choices for form in self._forms(choice)}
        for inner in ("lax_schema", "json_schema"):
            if inner in schema:
                return self._forms(schema[inner])
        if kind in _FUNCTIONS or kind in ("default", "custom-error", "definitions"):
            return self._forms(schema["schema"])
        return {kind}

    def _opaque(self, path: str, what: str) -> Exception:
        return self.refuse(
            f"{_at(path)} is {what}, which has no JSON form that gives it back",
            "use numbers, text, dates, lists, dicts, enums or models",
        )


def _at(path: str) -> str:
    return f"parameter {path!r}" if path else "the parameters"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
