"""Settings that are text in a form of their own: each check returns the value, or raises with what to write instead."""

from __future__ import annotations

import json
import keyword
import re
from ipaddress import IPv4Network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from infra import cache_nodes

ANYWHERE: Final = "0.0.0.0/0"
IMAGE_MAX: Final = 255
"""Characters that ECS takes of an image's name."""
LABEL_MAX, NAME_MAX, CERTIFICATE_MAX = 63, 253, 64
"""Characters between two dots of a domain, of a whole one, and of one in a certificate (its common name, RFC 5280)."""
PRIVATE: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""Addresses that are nobody's on the internet (RFC 1918, RFC 6598)."""

_NOBODY = IPv4Network("0.0.0.0/8")
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = re.compile(
    rf"(?:{_HOST}(?:\.{_HOST})*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::{_TAG})?(?:@sha256:[0-9a-f]{{64}})?"
)
_VERSION = r"(?:===?|~=|!=|<=?|>=?)[A-Za-z0-9.*+!_-]+"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# Nobody's password: whoever has the image could read it.
_URL = r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._~/%+=-]+(?:#sha256=[0-9a-f]{64})?"
_REQUIREMENT = re.compile(rf"{_NAME}(?:\[{_NAME}(?:,{_NAME})*\])?(?:{_VERSION}(?:,{_VERSION})*|@{_URL})?", re.ASCII)
_DOMAIN = re.compile(rf"(?:{_HOST}\.)+(?:[a-z]{{2,}}|xn--[a-z0-9-]+)")
_EMAIL = re.compile(rf"[A-Za-z0-9_%+'-]+(?:\.[A-Za-z0-9_%+'-]+)*@(?:{_HOST}\.)+[A-Za-z]{{2,}}")
_TOPIC = re.compile(r"arn:aws(?:-[a-z]+)*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_ZONE = re.compile(r"Z[A-Z0-9]{8,31}")


def _network(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        network = IPv4Network(text.strip())
    except ValueError:
        pass
    else:
        if network.prefixlen and network.subnet_of(_NOBODY):
            raise ValueError(f"nobody has an address of {network}: did you mean {ANYWHERE}?")
        return network
    try:
        hint = f"did you mean {IPv4Network(text.strip(), strict=False)}?"
    except ValueError:
        hint = "write an address and a prefix length, such as 10.0.0.0/16"
    raise ValueError(f"{text!r} is no IPv4 network: {hint}")


def _networks(value: object) -> object:
    """A list as JSON or comma-separated text."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(_network(part) for part in value.split(",") if part.strip())
    try:
        parts = json.loads(value)
    except ValueError as error:
        raise ValueError(f"not a list in JSON ({error}): write 10.0.0.0/8,192.168.0.0/16 instead") from None
    if not all(isinstance(part, str) for part in parts):
        raise ValueError('not a list of texts: write ["10.0.0.0/8", "192.168.0.0/16"]')
    return tuple(map(_network, parts))


def _distinct(networks: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
    """AWS refuses the second of two equal rules, in the middle of an `up`; rules that overlap are fine there."""
    twice = sorted({str(network) for network in networks if networks.count(network) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is there twice: name each network once")
    return networks


def _private(network: IPv4Network) -> IPv4Network:
    if not any(network.subnet_of(each) for each in PRIVATE):
        raise ValueError(
            f"{network} is not private, so whoever has these addresses could not be reached from the stack: take a "
            f"part of {', '.join(map(str, PRIVATE))}"
        )
    return network


def _image(text: str) -> str:
    if len(text) > IMAGE_MAX or not _IMAGE.fullmatch(text):
        raise ValueError(
            f"no image's name: write host/path:tag or host/path@sha256:…, at most {IMAGE_MAX} characters, such as "
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shared/api:1.4"
        )
    return text


def _requirements(text: str) -> str:
    wrong = [part for part in text.split(" ") if part and not _REQUIREMENT.fullmatch(part)]
    if wrong or not text.strip():
        named = f"{wrong[0]!r} is" if wrong else "it names"
        raise ValueError(
            f"{named} no package: write it as mine==1.2, mine[fast]>=1.2,<2 or mine@https://host/mine.whl, several "
            "with a space between, without quotes, spaces within, options and markers"
        )
    return " ".join(text.split())


def _modules(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")):
            raise ValueError(f"{name!r} is no module's name: write services.compute.tasks,mine.computations")
    if len(set(names)) < len(names):
        raise ValueError("a module is there twice: name each once")
    return ",".join(names)


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text) or text != text.lower():
        raise ValueError("no domain's name: write it in lower case and without https://, such as compute.example.com")
    if max(map(len, text.split("."))) > LABEL_MAX:
        raise ValueError(f"more than {LABEL_MAX} characters between two dots, which DNS does not have: shorten it")
    if len(text) > NAME_MAX:
        raise ValueError(f"{len(text)} characters, and DNS has {NAME_MAX} at most: shorten it")
    if len(text) > CERTIFICATE_MAX:
        raise ValueError(f"{len(text)} characters, and a certificate takes {CERTIFICATE_MAX} at most: shorten it")
    return text


def _node_type(text: str) -> str:
    problem = cache_nodes.problem(text)
    if problem:
        raise ValueError(problem)
    return text


def _matching(pattern: re.Pattern[str], otherwise: str) -> AfterValidator:
    """Accepts what the whole pattern fits."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(otherwise)
        return text

    return AfterValidator(check)


Networks = Annotated[tuple[IPv4Network, ...], BeforeValidator(_networks), AfterValidator(_distinct)]
PrivateNetwork = Annotated[IPv4Network, BeforeValidator(_network), AfterValidator(_private)]
Image = Annotated[str, AfterValidator(_image)]
Requirements = Annotated[str, AfterValidator(_requirements)]
Modules = Annotated[str, AfterValidator(_modules)]
Domain = Annotated[str, AfterValidator(_domain)]
HostedZone = Annotated[
    str, _matching(_ZONE, "no hosted zone's id: it is Z and more capitals and digits; `aws route53 list-hosted-zones`")
]
NodeType = Annotated[str, AfterValidator(_node_type)]
Email = Annotated[str, _matching(_EMAIL, "no mail address: write one, such as ops@example.com")]
Topic = Annotated[
    str, _matching(_TOPIC, "no SNS topic's ARN: write arn:aws:sns:REGION:ACCOUNT:NAME (a standard topic, no FIFO)")
]
