"""What AWS says when it does not do what it is asked, and what that means for whoever waits or reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AGAIN = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_AGAIN_BEHIND = ("Request limit exceeded", "RequestLimitExceeded", "Rate exceeded")
_SERVER_ERROR = 500


class AwsRefused(Exception):
    """AWS refused a call, and would again."""


class ClusterMissing(AwsRefused):
    """There is no such cluster, or it was deleted."""


class ServiceMissing(AwsRefused):
    """There is no such service, or it was deleted."""


class AwsUnavailable(Exception):
    """A call was throttled, or failed on the way, until there was no more time for it."""


def said(error: Exception) -> tuple[str, str, bool]:
    """Return code and message of what boto3 raised, and whether the same call may succeed later."""
    from botocore.exceptions import ConnectionError as NotConnected
    from botocore.exceptions import HTTPClientError

    response = getattr(error, "response", None) or {}
    body = response.get("Error", {})
    code, reason = str(body.get("Code") or type(error).__name__), str(body.get("Message") or error)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    again = (
        isinstance(error, (HTTPClientError, NotConnected))
        or code in _AGAIN
        or status >= _SERVER_ERROR
        or any(text in reason for text in _AGAIN_BEHIND)
    )
    return code, reason, again


def refusal(operation: str, parameters: Mapping[str, Any], code: str, reason: str) -> AwsRefused:
    """Return the error of a call that was refused for good."""
    cluster = parameters.get("cluster")
    text = f"{action(operation)} in cluster {cluster} was refused: {code}: {reason}{cure(code, action(operation))}"
    if code == "ClusterNotFoundException":
        return ClusterMissing(f"{text}. Is it in this region and account?")
    if code == "ServiceNotFoundException":
        return ServiceMissing(text)
    return AwsRefused(text)


def action(operation: str) -> str:
    """Return the action of IAM that an operation needs."""
    return "ecs:" + "".join(part.title() for part in operation.split("_"))


def cure(code: str, needed: str) -> str:
    """Return what helps against an error, as the end of a message; empty when nobody knows."""
    if code.startswith("AccessDenied"):
        return f". Whoever runs Pulumi (or the role given as role_arn) must be allowed {needed}"
    if "Token" in code or "Credential" in code:
        return ". Log in to AWS again, or name the profile that has credentials"
    return ""
