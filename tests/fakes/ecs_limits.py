"""What ECS refuses: wrong parameters, too many calls. Numbers and words are those of AWS's documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

MODIFYING = frozenset({"RunTask", "StopTask"})
RUN_MAX = 10
DESCRIBE_MAX = 100
PAGE_MAX = 100
SERVICES_MAX = 10
STARTED_BY_MAX = 128
REASON_MAX = 1024
TAGS_MAX = 50
TOKEN_MAX = 64
SUBNETS_MAX = 16
SECURITY_GROUPS_MAX = 5

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]*")
_TAG = re.compile(r"[\w\s.:/=+\-@]*")
_TOKEN = re.compile(r"[!-~]*")
_TASK = re.compile(r"(arn:aws:ecs:[a-z0-9-]+:\d{12}:task/[\w-]+/)?[0-9a-f]{32}")
_UNMODELLED = frozenset(
    {
        "overrides",
        "placementConstraints",
        "placementStrategy",
        "volumeConfigurations",
        "containerInstance",
        "daemonName",
    }
)

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """Token buckets as (burst, tokens per second); None is without limit. `launch` counts tasks, for each provider."""

    modify: tuple[float, float] | None = (100, 40)
    read: tuple[float, float] | None = (100, 20)
    launch: tuple[float, float] | None = (100, 20)


UNLIMITED = Limits(None, None, None)


class Bucket:
    """A token bucket of the service."""

    def __init__(self, size: tuple[float, float] | None, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._tokens = size[0] if size else 0.0
        self._at = clock()

    def take(self, tokens: float) -> bool:
        """Take tokens if there are enough."""
        if self._size is None:
            return True
        burst, rate = self._size
        now = self._clock()
        self._tokens = min(burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True


def client_error(operation: str, code: str, message: str, **fields: Any) -> ClientError:
    """An error as boto3 raises it for an answer of the service."""
    status = 500 if code in {"ServerException", "ServiceException"} else 400
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        **fields,
    }
    return ClientError(answer, operation)


def invalid(operation: str, message: str) -> ClientError:
    return client_error(operation, "InvalidParameterException", message)


@cache
def service_model(service: str = "ecs") -> Any:
    """The model of a service as botocore ships it."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def validate(operation: str, parameters: Parameters, service: str = "ecs") -> None:
    """Refuse what botocore's model of the service does not allow: names, types, ranges, enumerations."""
    shape = service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(dict(parameters), shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())
    _enumerations(operation, shape, parameters, "")
    if unmodelled := _UNMODELLED & parameters.keys():
        raise NotImplementedError(f"the fake knows nothing of {sorted(unmodelled)}")


def _enumerations(operation: str, shape: Any, value: Any, path: str) -> None:
    if shape.type_name == "structure":
        for name, part in value.items():
            _enumerations(operation, shape.members[name], part, f"{path}.{name}" if path else name)
    elif shape.type_name == "list":
        for part in value:
            _enumerations(operation, shape.member, part, path)
    elif getattr(shape, "enum", None) and value not in shape.enum:
        raise invalid(operation, f"{value!r} is not valid for {path}: one of {', '.join(shape.enum)}")


def check_run(parameters: Parameters) -> None:
    """Refuse a RunTask that Fargate would refuse, whatever its cluster and definition."""
    count = parameters.get("count", 1)
    if not 1 <= count <= RUN_MAX:
        raise invalid("RunTask", f"count cannot be less than 1 or greater than {RUN_MAX}, and is {count}.")
    _check_placement(parameters)
    _check_network(parameters.get("networkConfiguration"))
    _check_text("RunTask", "startedBy", parameters.get("startedBy", ""), STARTED_BY_MAX, _STARTED_BY)
    _check_text("RunTask", "clientToken", parameters.get("clientToken", ""), TOKEN_MAX, _TOKEN)
    _check_tags(parameters.get("tags", ()))


def _check_placement(parameters: Parameters) -> None:
    strategy = parameters.get("capacityProviderStrategy")
    if strategy and "launchType" in parameters:
        raise invalid(
            "RunTask",
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )
    if not strategy and parameters.get("launchType", "EC2") != "FARGATE":
        raise invalid("RunTask", "No Container Instances were found in your cluster.")
    if strategy and not any(item.get("weight", 0) for item in strategy):
        raise invalid("RunTask", "A capacity provider strategy must have a capacity provider with a weight above 0.")
    if strategy and len(strategy) > 1:
        raise NotImplementedError("the fake knows one capacity provider a call")


def _check_network(configuration: Any) -> None:
    if not configuration or "awsvpcConfiguration" not in configuration:
        raise invalid("RunTask", "Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    network = configuration["awsvpcConfiguration"]
    if not network["subnets"]:
        raise invalid("RunTask", "subnets can not be empty.")
    if len(network["subnets"]) > SUBNETS_MAX:
        raise invalid("RunTask", f"subnets can have at most {SUBNETS_MAX} items.")
    if len(network.get("securityGroups", ())) > SECURITY_GROUPS_MAX:
        raise invalid("RunTask", f"securityGroups can have at most {SECURITY_GROUPS_MAX} items.")


def _check_tags(tags: Sequence[Parameters]) -> None:
    if len(tags) > TAGS_MAX:
        raise invalid("RunTask", f"At most {TAGS_MAX} tags are allowed.")
    keys = [tag.get("key", "") for tag in tags]
    if len(set(keys)) < len(keys):
        raise invalid("RunTask", "Duplicate tag keys found.")
    for tag in tags:
        key = tag.get("key", "")
        if key.lower().startswith("aws:"):
            raise invalid("RunTask", f"Tag key {key!r} is reserved: it begins with aws:")
        _check_text("RunTask", "tag key", key, 128, _TAG)
        _check_text("RunTask", "tag value", tag.get("value", ""), 256, _TAG)


def tags_of_task(parameters: Parameters, definition: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags that a RunTask gives its tasks: its own, and those of the definition when it passes them on.

    AWS does not say which value a key has that both give: differing ones are refused, so that nobody counts on one.
    """
    tags = {tag.get("key", ""): tag.get("value", "") for tag in parameters.get("tags", ())}
    passed = definition if parameters.get("propagateTags") == "TASK_DEFINITION" else {}
    for key, value in passed.items():
        if tags.setdefault(key, value) != value:
            raise invalid(
                "RunTask", f"Tag {key!r} is {tags[key]!r} in the request and {value!r} in the task definition."
            )
    merged = [{"key": key, "value": value} for key, value in tags.items()]
    _check_tags(merged)
    return merged


def check_list(parameters: Parameters) -> None:
    """Refuse a listing with filters that exclude each other."""
    filters = parameters.keys() - {"cluster", "nextToken", "maxResults"}
    if "startedBy" in filters and len(filters) > 1:
        raise invalid("ListTasks", "startedBy cannot be combined with other filters.")
    _check_text("ListTasks", "startedBy", parameters.get("startedBy", ""), STARTED_BY_MAX, _STARTED_BY)
    if not 1 <= parameters.get("maxResults", PAGE_MAX) <= PAGE_MAX:
        raise invalid("ListTasks", f"maxResults must be from 1 to {PAGE_MAX}.")


def check_tasks(operation: str, tasks: Sequence[str]) -> None:
    """Refuse none, too many, or texts that are no ids."""
    if not tasks:
        raise invalid(operation, "Tasks cannot be empty.")
    if len(tasks) > DESCRIBE_MAX:
        raise invalid(operation, f"Tasks cannot have more than {DESCRIBE_MAX} elements.")
    for task in tasks:
        if not _TASK.fullmatch(task):
            raise invalid(operation, f"taskId length should be one of [32,36]: {task!r}")


def check_services(services: Sequence[str]) -> None:
    """Refuse to describe none, or too many."""
    if not services:
        raise invalid("DescribeServices", "Services cannot be empty.")
    if len(services) > SERVICES_MAX:
        raise invalid("DescribeServices", f"Services cannot have more than {SERVICES_MAX} elements.")


def check_reason(reason: str) -> None:
    """Refuse a reason of a StopTask that is too long."""
    if len(reason) > REASON_MAX:
        raise invalid("StopTask", f"reason can have at most {REASON_MAX} characters.")


def _check_text(operation: str, name: str, text: str, longest: int, allowed: re.Pattern[str]) -> None:
    if len(text) > longest:
        raise invalid(operation, f"{name} is longer than {longest} characters.")
    if not allowed.fullmatch(text):
        raise invalid(operation, f"{name} has characters that are not allowed: {text!r}")
