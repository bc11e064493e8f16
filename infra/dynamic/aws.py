"""How dynamic resources reach ECS: by what they were given, since the stack's configuration does not reach their boto3.

Calls that AWS throttles or that fail on the way are made again, for a bounded time; what AWS refuses for good is said
at once. boto3 is imported when a client is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from infra.dynamic.clock import Clock
from infra.dynamic.refusals import AwsRefused, AwsUnavailable, ServiceMissing, action, refusal, said
from infra.dynamic.session import Access, Properties, account_of, open_client
from services.autoscaler.fleet.quota import Backoff

TRIES = 10
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0
DESCRIBE_MAX = 100
_ARN_PARTS = 6


@dataclass(frozen=True, slots=True)
class World:
    """What providers touch: AWS and time.

    Attributes:
        connect: opens an ECS client that does not try again by itself.
        clock: of all waits.
        account: tells whose credentials these are: the account's id.
    """

    connect: Callable[[Access], Any]
    clock: Clock
    account: Callable[[Access], str]

    def ecs(self, properties: Properties, deadline: float) -> Ecs:
        """Return ECS as a resource with these properties reaches it."""
        return Ecs(self.connect(Access.of(properties)), self.clock, deadline)

    def confirm_gone(self, properties: Properties, missing: AwsRefused) -> None:
        """Make sure that a cluster, or a service in it, is missing where it was, and not merely somewhere else.

        Raises:
            AwsRefused: this is another account or region than the cluster's, so that nothing is known of it.
        """
        access, arn = Access.of(properties), str(properties["cluster"])
        parts = arn.split(":")
        if len(parts) < _ARN_PARTS:
            return
        region, owner = parts[3], parts[4]
        account = self.account(access)
        if account != owner:
            raise AwsRefused(
                f"cluster {arn} is account {owner}'s, and these credentials are account {account}'s, where it is not "
                f"seen ({missing}). Give the stack credentials of {owner}: by aws:profile, by aws:assumeRoles, or in "
                "the environment"
            ) from None
        if region != access.region:
            raise AwsRefused(
                f"cluster {arn} is in {region}, and {access.region} was asked, where it is not seen ({missing}). Set "
                f"aws:region to {region}"
            ) from None


REAL = World(open_client, Clock(), account_of)


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
        reasons = ", ".join(str(failure.get("reason")) for failure in answer.get("failures", ())) or "INACTIVE"
        raise ServiceMissing(f"there is no service {service} in cluster {cluster}: ECS says {reasons}")

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
                code, reason, again = said(error)
                if not again:
                    raise refusal(operation, parameters, code, reason) from None
                wait = backoff.refused()
                if tried == TRIES or self._clock.now() + wait > self._deadline:
                    raise AwsUnavailable(
                        f"{action(operation)} failed {tried} times, last with {code}: {reason}. "
                        "Nothing is wrong with the stack: run the same command again in some minutes."
                    ) from None
                self._clock.sleep(wait)
            else:
                return answer
        raise AssertionError("unreachable")
