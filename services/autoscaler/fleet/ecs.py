"""The fleet of ECS tasks on Fargate. The only file that speaks to ECS; boto3 is imported when a fleet is opened."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from services.autoscaler.errors import FleetThrottled, FleetUnavailable, LaunchRefused, MachineUnknown
from services.autoscaler.fleet import ecs_task as read
from services.autoscaler.fleet import nothing
from services.autoscaler.fleet.memory import Memory
from services.autoscaler.fleet.quota import SERVICE_CODE, VCPU_QUOTAS, Backoff, TokenBucket, shortage
from services.autoscaler.model import Capacity, FleetView, Launch, Launched
from services.autoscaler.settings import EcsSettings

CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 5.0
RUN_MAX = 10
DESCRIBE_MAX = 100
REASON_MAX = 1024
# RunTask and StopTask share a bucket: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
# Tasks started, for each capacity: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
CALL_BURST, CALL_RATE = 100, 40
LAUNCH_BURST, LAUNCH_RATE = 100, 20

_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"})
_THROTTLED_BEHIND = ("Request limit exceeded", "RequestLimitExceeded", "Rate exceeded")
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "BlockedException",
        "ClientException",
        "ClusterNotFoundException",
        "ConflictException",
        "InvalidParameterException",
        "ParamValidationError",
        "PlatformTaskDefinitionIncompatibilityException",
        "PlatformUnknownException",
        "UnsupportedFeatureException",
    }
)


class EcsFleet:
    """Starts, stops and lists the worker tasks of one fleet in one cluster; see `Fleet`.

    Tasks are this fleet's when `startedBy`, tags and the definition's family all say so; no other is touched.

    Args:
        client: an ECS client of boto3's that does not try again by itself.
        settings: cluster, task definition, network, name of the fleet.
        clock: seconds since the epoch.
        quotas_client: a Service Quotas client; None checks no quota.
    """

    launch_max = RUN_MAX

    def __init__(
        self,
        client: Any,
        settings: EcsSettings,
        clock: Callable[[], float] = time.time,
        quotas_client: Any = None,
    ) -> None:
        self._client = client
        self._quotas = quotas_client
        self._settings = settings
        self._clock = clock
        self._failures = _failures()
        self._owner = read.Owner(settings.fleet_name, read.started_by(settings.fleet_name), settings.family)
        self._changes = TokenBucket(CALL_BURST, CALL_RATE, clock)
        self._launches = {capacity: TokenBucket(LAUNCH_BURST, LAUNCH_RATE, clock) for capacity in Capacity}
        self._backoff = {"change": Backoff(clock), "read": Backoff(clock)}
        self._memory = Memory(self._owner)

    @property
    def revision(self) -> str:
        """See `Fleet`."""
        return self._settings.revision

    def observe(self, known: Sequence[str] = (), between: Callable[[], None] = nothing) -> FleetView:
        """Return all tasks of this fleet; see `Fleet`.

        A listing leaves out tasks that were told to stop, though they drain for minutes, and may leave out those that
        were just started: what was seen before and what the caller knows of is asked for by id.
        """
        listed = self._list(between)
        tasks = self._describe(self._memory.candidates(listed, known), between)
        return self._memory.view(listed, known, tasks, self._clock())

    def launch(self, launch: Launch) -> Launched:
        """Start up to ten tasks with one RunTask; see `Fleet`."""
        self._take(self._launches[launch.capacity], launch.count, f"tasks started on {launch.capacity}")
        self._take(self._changes, 1, "calls that start and stop tasks")
        try:
            answer = self._call("run_task", "change", _REFUSALS, **self._run_parameters(launch))
        except _Refusal as refusal:
            if read.lacks_capacity(refusal.reason):
                return Launched((), (refusal.reason,) * launch.count, launch.count)
            if ids := refusal.tasks:
                self._memory.launched(ids, launch.capacity, self._clock())
                return Launched(ids)
            raise LaunchRefused(
                f"RunTask of {launch.count} tasks of {self._settings.family}:{launch.revision} was refused: {refusal}"
            ) from refusal.__cause__
        ids = tuple(read.task_id(task["taskArn"]) for task in answer.get("tasks", ()))
        refused = tuple(_failure(failure) for failure in answer.get("failures", ()))
        self._memory.launched(ids, launch.capacity, self._clock())
        return Launched(ids, refused, sum(map(read.lacks_capacity, refused)))

    def stop(self, machine: str, reason: str) -> None:
        """Stop one task with StopTask; see `Fleet`.

        Raises:
            MachineUnknown: the id was never seen as one of this fleet's.
        """
        if self._memory.is_gone(machine):
            return
        if not self._memory.owns(machine):
            raise MachineUnknown(
                f"task {machine!r} is none that fleet {self._settings.fleet_name!r} has seen as its own"
            )
        self._take(self._changes, 1, "calls that start and stop tasks")
        try:
            self._call(
                "stop_task",
                "change",
                {"InvalidParameterException"},
                cluster=self._settings.ecs_cluster,
                task=machine,
                reason=reason[:REASON_MAX],
            )
        except _Refusal as refusal:
            if "not found" not in refusal.reason:
                raise FleetUnavailable(f"StopTask of {machine}: {refusal}") from refusal.__cause__

    def check(self, maximum: int) -> Sequence[str]:
        """Hold the vCPU quotas of Fargate against `maximum` tasks; see `Fleet`."""
        vcpu = self._settings.worker_vcpu
        if self._quotas is None or vcpu is None:
            return ()
        base = maximum if not self._settings.use_spot else min(maximum, self._settings.on_demand_base)
        messages = [self._quota(Capacity.SPOT, maximum - base, vcpu)] if base < maximum else []
        messages.append(self._quota(Capacity.ON_DEMAND, maximum, vcpu, fallback=base < maximum))
        return tuple(message for message in messages if message)

    def close(self) -> None:
        """Close the connections; the tasks go on."""
        self._client.close()
        if self._quotas is not None:
            self._quotas.close()

    # ---- calls ----

    def _list(self, between: Callable[[], None]) -> set[str]:
        listed: set[str] = set()
        token: dict[str, str] = {}
        while True:
            answer = self._call(
                "list_tasks", "read", cluster=self._settings.ecs_cluster, startedBy=self._owner.started_by, **token
            )
            between()
            listed.update(map(read.task_id, answer["taskArns"]))
            if not answer.get("nextToken"):
                return listed
            token = {"nextToken": answer["nextToken"]}

    def _describe(self, ids: Iterable[str], between: Callable[[], None]) -> dict[str, read.Task]:
        found: dict[str, read.Task] = {}
        remaining = iter(ids)
        while chunk := list(islice(remaining, DESCRIBE_MAX)):
            answer = self._call(
                "describe_tasks", "read", cluster=self._settings.ecs_cluster, tasks=chunk, include=["TAGS"]
            )
            between()
            found.update((read.task_id(task["taskArn"]), task) for task in answer["tasks"])
            unclear = [failure for failure in answer.get("failures", ()) if failure.get("reason") != "MISSING"]
            if unclear:
                raise FleetUnavailable(f"DescribeTasks of ECS: {_failure(unclear[0])} ({unclear[0].get('arn')})")
        return found

    def _call(self, operation: str, kind: str, refusals: Collection[str] = (), **parameters: Any) -> dict[str, Any]:
        """Make one call; codes in `refusals` become `_Refusal`, all other failures the fleet's errors."""
        backoff = self._backoff[kind]
        if left := backoff.left():
            raise FleetThrottled(f"ECS throttled an earlier call: {operation} waits {left:.1f} s", left)
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except self._failures as error:
            code, reason = _said(error)
            if read.lacks_capacity(reason) and refusals:
                raise _Refusal(code, reason) from error
            if code in _THROTTLED or any(text in reason for text in _THROTTLED_BEHIND):
                raise FleetThrottled(f"{operation} of ECS: {code}: {reason}", backoff.refused()) from error
            if code in refusals:
                tasks = getattr(error, "response", {}).get("resourceIds") if code == "ConflictException" else None
                raise _Refusal(code, reason, tasks or ()) from error
            raise FleetUnavailable(f"{operation} of ECS: {code}: {reason}{_hint(code)}") from error
        backoff.answered()
        return answer

    def _quota(self, capacity: Capacity, machines: int, vcpu: float, *, fallback: bool = False) -> str | None:
        quota = VCPU_QUOTAS[capacity]
        try:
            answer = self._quotas.get_service_quota(ServiceCode=SERVICE_CODE, QuotaCode=quota.code)
            value = float(answer.get("Quota", {}).get("Value", math.inf))
        except self._failures as error:
            code, reason = _said(error)
            return f"quota {quota.name!r} ({quota.code}) could not be read: {code}: {reason}{_hint(code)}"
        return shortage(capacity, value, machines, vcpu, fallback=fallback)

    def _run_parameters(self, launch: Launch) -> dict[str, Any]:
        settings = self._settings
        return {
            "cluster": settings.ecs_cluster,
            "taskDefinition": f"{settings.family}:{launch.revision}",
            "count": launch.count,
            "capacityProviderStrategy": [{"capacityProvider": read.PROVIDERS[launch.capacity], "weight": 1}],
            "platformVersion": "LATEST",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": _items(settings.worker_subnets),
                    "securityGroups": _items(settings.worker_security_groups),
                    "assignPublicIp": "ENABLED" if settings.worker_public_ip else "DISABLED",
                }
            },
            "startedBy": self._owner.started_by,
            "clientToken": launch.token,
            "tags": [
                {"key": read.FLEET_TAG, "value": settings.fleet_name},
                {"key": read.COMPONENT_TAG, "value": read.COMPONENT},
            ],
            "propagateTags": "TASK_DEFINITION",
            "enableECSManagedTags": True,
        }

    def _take(self, bucket: TokenBucket, tokens: int, what: str) -> None:
        if wait := bucket.take(tokens):
            raise FleetThrottled(f"our own count of ECS's quota for {what} is used up for {wait:.1f} s", wait)


class _Refusal(Exception):
    """ECS refused a call for what it asks.

    Attributes:
        reason: in its own words.
        tasks: ids of those that the same token has started with other parameters (a network that was changed since).
    """

    def __init__(self, code: str, reason: str, tasks: Iterable[str] = ()) -> None:
        super().__init__(f"{code}: {reason}{_hint(code)}")
        self.reason = reason
        self.tasks = tuple(map(read.task_id, tasks))


def open_ecs_fleet(settings: EcsSettings) -> EcsFleet:
    """Return a fleet with clients of its own; credentials and region come from where boto3 finds them.

    Raises:
        FleetUnavailable: boto3 is not installed, or finds no region.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise FleetUnavailable("FLEET=ecs needs boto3: install tidegate[autoscaler]") from error
    config = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 1})
    try:
        session = boto3.Session()
        client = session.client("ecs", config=config)
        quotas = session.client("service-quotas", config=config)
    except BotoCoreError as error:
        problem = str(error).rstrip(".")
        raise FleetUnavailable(f"no ECS client can be made: {problem}. Set AWS_DEFAULT_REGION.") from error
    return EcsFleet(client, settings, quotas_client=quotas)


def _failures() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def _said(error: Exception) -> tuple[str, str]:
    """Return code and message of what boto3 raised."""
    body = (getattr(error, "response", None) or {}).get("Error", {})
    return str(body.get("Code") or type(error).__name__), str(body.get("Message") or error)


def _failure(failure: dict[str, Any]) -> str:
    return ": ".join(str(failure[name]) for name in ("reason", "detail") if failure.get(name)) or "no reason given"


def _hint(code: str) -> str:
    return " (what the role needs is in services/autoscaler/permissions.py)" if code == "AccessDeniedException" else ""


def _items(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]
