"""How dynamic resources reach ECS: by what they were given, since the stack's configuration does not reach their boto3.

Calls that AWS throttles or that fail on the way are made again, for a bounded time; what AWS refuses for good is said
at once. boto3 is imported when a client is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from infra.dynamic.clock import Clock
from services.autoscaler.fleet.quota import Backoff

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 20.0
TRIES = 10
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0
DESCRIBE_MAX = 100
SESSION_NAME = "tidegate-pulumi"

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

Properties = Mapping[str, Any]


class AwsRefused(Exception):
    """AWS refused a call, and would again."""


class ClusterMissing(AwsRefused):
    """There is no such cluster, or it was deleted."""


class ServiceMissing(AwsRefused):
    """There is no such service, or it was deleted."""


class AwsUnavailable(Exception):
    """A call was throttled, or failed on the way, until there was no more time for it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How AWS is reached.

    Attributes:
        region: of the cluster.
        profile: of the AWS configuration; None: credentials from where boto3 finds them.
        role_arn: role to assume first, by STS.
        endpoint_url: in place of AWS's own addresses.
    """

    region: str
    profile: str | None = None
    role_arn: str | None = None
    endpoint_url: str | None = None

    @classmethod
    def of(cls, properties: Properties) -> Self:
        """Return what a dynamic resource was given."""
        return cls(*(properties.get(name) for name in ("region", "profile", "role_arn", "endpoint_url")))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class World:
    """What providers touch: AWS and time.

    Attributes:
        connect: opens an ECS client that does not try again by itself.
        clock: of all waits.
    """

    connect: Callable[[Access], Any]
    clock: Clock

    def ecs(self, properties: Properties, deadline: float) -> Ecs:
        """Return ECS as a resource with these properties reaches it."""
        return Ecs(self.connect(Access.of(properties)), self.clock, deadline)


def open_client(access: Access) -> Any:
    """Return an ECS client of boto3's.

    Raises:
        AwsRefused: no credentials are found, the profile is unknown, or the role cannot be assumed.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1})
    try:
        session = boto3.Session(region_name=access.region, profile_name=access.profile)
        if access.role_arn:
            session = _assume(session, access)
        return session.client("ecs", config=config, endpoint_url=access.endpoint_url)
    except (BotoCoreError, ClientError) as error:
        code, reason, _ = _said(error)
        what = f"assume the role {access.role_arn}" if access.role_arn else "open an ECS client"
        raise AwsRefused(f"cannot {what} in {access.region}: {code}: {reason}{_cure(code, 'sts:AssumeRole')}") from None


def _assume(session: Any, access: Access) -> Any:
    """Return a session under the role; boto3 tries again by itself here."""
    import boto3

    sts = session.client("sts", endpoint_url=access.endpoint_url)
    credentials = sts.assume_role(RoleArn=access.role_arn, RoleSessionName=SESSION_NAME)["Credentials"]
    sts.close()
    return boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name=access.region,
    )


REAL = World(open_client, Clock())


class Ecs:
    """ECS, with calls that are made again while that can help.

    Args:
        client: of boto3's; it is closed by `close`.
        clock: of the waits between tries.
        deadline: by the clock; no wait ends later.
    """

    def __init__(self, client: Any, clock: Clock, deadline: float) -> None:
        self._client = client
        self._clock = clock
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def service(self, cluster: str, service: str) -> dict[str, Any]:
        """Describe a service.

        Raises:
            ServiceMissing: it is not there, or not any more.
            ClusterMissing: its cluster is not.
        """
        answer = self.call("describe_services", cluster=cluster, services=[service])
        found: dict[str, Any]
        for found in answer["services"]:
            if found.get("status") != "INACTIVE":
                return found
        said = ", ".join(str(failure.get("reason")) for failure in answer.get("failures", ())) or "INACTIVE"
        raise ServiceMissing(f"there is no service {service} in cluster {cluster}: ECS says {said}")

    def tasks_of(self, cluster: str, **filters: str) -> list[str]:
        """List the ARNs of tasks, all pages."""
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = self.call("list_tasks", cluster=cluster, **filters, **token)
            found.extend(answer["taskArns"])
            if not answer.get("nextToken"):
                return found
            token = {"nextToken": answer["nextToken"]}

    def describe(self, cluster: str, tasks: Iterable[str]) -> list[dict[str, Any]]:
        """Describe tasks with their tags; those that ECS has forgotten are left out."""
        found: list[dict[str, Any]] = []
        remaining = iter(tasks)
        while chunk := list(islice(remaining, DESCRIBE_MAX)):
            found.extend(self.call("describe_tasks", cluster=cluster, tasks=chunk, include=["TAGS"])["tasks"])
        return found

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Make one call, again and again while it is throttled or lost.

        Raises:
            AwsRefused: it was refused for good.
            AwsUnavailable: there is no more time for it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        backoff = Backoff(self._clock.now, first=FIRST_WAIT, longest=LONGEST_WAIT, jitter=self._clock.chance)
        for tried in range(1, TRIES + 1):
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
            except (BotoCoreError, ClientError) as error:
                code, reason, again = _said(error)
                if not again:
                    raise _refusal(operation, parameters, code, reason) from None
                wait = backoff.refused()
                if tried == TRIES or self._clock.now() + wait > self._deadline:
                    raise AwsUnavailable(
                        f"{_action(operation)} failed {tried} times, last with {code}: {reason}. "
                        "Nothing is wrong with the stack: run the same command again in some minutes."
                    ) from None
                self._clock.sleep(wait)
            else:
                return answer
        raise AssertionError("unreachable")


def _said(error: Exception) -> tuple[str, str, bool]:
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


def _refusal(operation: str, parameters: Properties, code: str, reason: str) -> AwsRefused:
    cluster = parameters.get("cluster")
    text = f"{_action(operation)} in cluster {cluster} was refused: {code}: {reason}{_cure(code, _action(operation))}"
    if code == "ClusterNotFoundException":
        return ClusterMissing(f"{text}. Is it in this region and account?")
    if code == "ServiceNotFoundException":
        return ServiceMissing(text)
    return AwsRefused(text)


def _action(operation: str) -> str:
    return "ecs:" + "".join(part.title() for part in operation.split("_"))


def _cure(code: str, action: str) -> str:
    if code.startswith("AccessDenied"):
        return f". Whoever runs Pulumi (or the role given as role_arn) must be allowed {action}"
    if "Token" in code or "Credential" in code:
        return ". Log in to AWS again, or name the profile that has credentials"
    return ""
