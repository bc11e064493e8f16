"""What a kind of resource is to the plugins here: how it comes to be, is read, changes and ends, by boto3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

Props = dict[str, Any]

REGION = "us-east-1"


@cache
def aws(service: str) -> Any:
    """A boto3 client; `AWS_ENDPOINT_URL` leads it to moto."""
    return boto3.client(service, region_name=REGION)


class Refused(Exception):
    """What AWS would refuse, and moto accepts; the message says what and why."""


def gone(error: ClientError) -> bool:
    """Whether AWS says that something does not exist."""
    code = str(error.response["Error"]["Code"])
    return any(part in code for part in ("NotFound", "NoSuch", "NotExist", "DoesNotExist", "404"))


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes:
        create: makes one of its inputs; its id.
        read: what AWS says of the one with this id, of which something is known: inputs and what else it has, as
            Pulumi names it; None when it is gone.
        update: changes one: id, inputs before, inputs now.
        delete: ends one: id, what is known of it.
        name: property that is made up when it is missing.
        longest: characters of that name, at most.
        lower: whether it has small letters alone.
        replaces: properties whose change means another resource.
        renewed: what an update may give another value, so that its preview does not know it.
        dropped: properties that moto does not keep, each with what `raw` would show of it (a JMESPath).
        raw: what AWS's describing call answers, for the proof of that.
        refuse: raises `Refused` for inputs that AWS would not take.
    """

    create: Callable[[Props], str]
    read: Callable[[str, Props], Mapping[str, Any] | None]
    update: Callable[[str, Props, Props], None]
    delete: Callable[[str, Props], None]
    name: str | None = None
    longest: int = 255
    lower: bool = False
    replaces: frozenset[str] = frozenset()
    renewed: frozenset[str] = frozenset()
    dropped: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[str, Props], Any] = lambda _id, _known: {}
    refuse: Callable[[Props], None] = lambda _inputs: None


def never(what: str) -> Callable[[str, Props, Props], None]:
    """An update that cannot be: every change of such a resource replaces it."""

    def update(id_: str, old: Props, new: Props) -> None:
        changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        raise NotImplementedError(f"a change of {what} {id_} in place: {', '.join(changed)}")

    return update


def again(make: Callable[[Props], object]) -> Callable[[str, Props, Props], None]:
    """An update that does what a create does: where AWS has one call for both."""

    def update(_id: str, _old: Props, new: Props) -> None:
        make(new)

    return update


def settled(_id: str, _old: Props, _new: Props) -> None:
    """An update that has nothing to tell AWS."""


def nothing(_id: str, _known: Props) -> None:
    """A delete that has nothing to do."""


def camel(value: Any) -> Any:
    """A structure of an API that begins names with capitals, with names as Pulumi has them."""
    if isinstance(value, Mapping):
        return {key[:1].lower() + key[1:]: camel(inner) for key, inner in value.items()}
    return [camel(item) for item in value] if isinstance(value, list) else value


def pascal(value: Any) -> Any:
    """The other way; whole numbers are whole."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: pascal(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return whole(value)


def whole(value: Any) -> Any:
    """Numbers travel as floats; APIs want whole ones whole."""
    if isinstance(value, Mapping):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def pairs(tags: Mapping[str, str] | None, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as most APIs have them."""
    return [{key: name, value: text} for name, text in sorted((tags or {}).items())]


def tags_of(found: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """The other way."""
    return {each[key]: each[value] for each in found or [] if not each[key].startswith("aws:")}


def like(known: Any, found: Any) -> Any:
    """What was found, in the shape of what is known: without what nobody set, as it was written if it means the same.

    Lists that hold the same in another order are the same, and so are documents of JSON with other spaces.
    """
    if isinstance(known, Mapping) and isinstance(found, Mapping):
        return {key: like(known[key], found[key]) for key in known if key in found}
    if isinstance(known, list) and isinstance(found, list):
        if len(known) != len(found):
            return found
        left, ordered = list(found), []
        for item in known:
            match = next((other for other in left if like(item, other) == item), None)
            if match is None:
                return [like(one, other) for one, other in zip(known, found, strict=True)]
            left.remove(match)
            ordered.append(item)
        return ordered
    if isinstance(known, str) and isinstance(found, str) and known[:1] in ("{", "["):
        try:
            return known if like(json.loads(known), json.loads(found)) == json.loads(known) else found
        except ValueError:
            return found
    return known if known == found else found


def pages(service: str, operation: str, result: str, **arguments: Any) -> Iterator[Any]:
    """All items of a listing, over its pages where it has any."""
    client = aws(service)
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**arguments):
            yield from page.get(result, [])
    else:
        yield from getattr(client, operation)(**arguments).get(result, [])


def one(found: list[Any]) -> Any | None:
    """The only item, or None for none."""
    return found[0] if found else None
