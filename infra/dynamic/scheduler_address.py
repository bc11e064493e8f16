"""The address of the scheduler: waits until the service's task runs and is healthy, and says where it is.

The wait is bounded, follows one revision of the task definition, and ends early when ECS has given up. Its error
carries what ECS says, which `wait_for_steady_state` of the service does not. IP and task change when ECS replaces the
task; `pulumi refresh` looks again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from infra.dynamic.aws import Ecs
from infra.dynamic.clock import Clock
from infra.dynamic.observed import Found, Seen, Wanted, astray, hopeless, ready, report, seen_of
from infra.dynamic.provider import EcsProvider, difference
from infra.dynamic.refusals import ClusterMissing, ServiceMissing
from infra.dynamic.session import Properties

TIMEOUT = 600.0
POLL_INTERVAL = 5.0
READ_SECONDS = 20.0
"""For which a refresh tries again what AWS throttles; it waits for no task."""
ASTRAY_SECONDS = 60.0
"""For which a service may seem to run something else: an update of it need not be seen at once."""

_PATIENCE = ("timeout", "poll_interval")
_OUTPUTS = ("ip", "task_arn", "address")
_REVISION = re.compile(r"arn:[a-z-]+:ecs:[a-z0-9-]+:\d{12}:task-definition/[A-Za-z0-9_-]+:[1-9]\d*")


class SchedulerNotReady(Exception):
    """No task of the scheduler became healthy in time, or ever will; the message has ECS's reasons."""


class SchedulerAddressProvider(EcsProvider):
    """What Pulumi calls; see `SchedulerAddress` for what a change of which input does."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse inputs that would be waited for in vain; what a preview does not know yet passes."""
        definition = news.get("task_definition")
        failures = []
        if isinstance(definition, str) and definition.startswith("arn:") and not _REVISION.fullmatch(definition):
            reason = (
                f"{definition!r} has no revision: give the ARN of the service's task definition with `:N` at its end"
            )
            failures.append(CheckFailure("task_definition", reason))
        failures += [
            CheckFailure(name, f"is {news[name]}: give seconds above 0")
            for name in _PATIENCE
            if isinstance(news.get(name), (int, float)) and news[name] <= 0
        ]
        return CheckResult(news, failures)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait until the scheduler is ready."""
        return CreateResult(f"{props['cluster']}/{_name(props['service'])}", self._resolve(props))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look where the scheduler is now, without waiting for it.

        While no task is ready (ECS is replacing it), what was known stays: a refresh at that moment must not change
        what depends on the address. Service or cluster gone: so is this resource.

        Raises:
            AwsRefused: whoever runs Pulumi may not look, or works in another account than the cluster's.
        """
        deadline = self.world.clock.now() + READ_SECONDS
        try:
            with self.world.ecs(props, deadline) as ecs:
                wanted = _wanted(props)
                found = ready(_look(ecs, props, wanted, ("RUNNING",)), wanted)
        except (ClusterMissing, ServiceMissing) as missing:
            self.world.confirm_gone(props, missing)
            return ReadResult("", {})
        return ReadResult(id_, _outputs(props, found) if found else props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare inputs; see `SchedulerAddress`."""
        return difference(olds, news, ignored=(*_OUTPUTS, *_PATIENCE), replacing=("cluster", "service", "region"))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Wait anew."""
        return UpdateResult(self._resolve(news))

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Do nothing: an address is only known."""

    def _resolve(self, props: Properties) -> dict[str, Any]:
        """Return inputs and outputs once the scheduler is ready.

        Raises:
            SchedulerNotReady: it is not, in time or for good.
            AwsRefused: cluster or service are missing, or whoever runs Pulumi may not look.
        """
        timeout = float(props.get("timeout") or TIMEOUT)
        with self.world.ecs(props, self.world.clock.now() + timeout) as ecs:
            return _outputs(props, _Wait(ecs, self.world.clock, props, timeout).run())


class SchedulerAddress(Resource, module="tidegate", name="SchedulerAddress"):
    """Where the scheduler is, once it runs and is healthy.

    A change of `cluster`, `service` or `region` means another scheduler and replaces the resource; one of `timeout` or
    `poll_interval` changes nothing by itself; one of any other input waits anew. `task_definition` is the trigger of
    that: give it the service's own, so that the service is changed before.

    Args:
        name: of the resource.
        cluster: ARN of the ECS cluster.
        service: ARN or name of the scheduler's service.
        task_definition: ARN, with revision, of the definition that the service runs; older tasks do not count.
        container: name of the container whose health counts; it needs a health check.
        region: of the cluster.
        scheme: of the address: `tcp` or `tls`.
        port: of the address.
        profile: of the AWS configuration to take credentials from; by default boto3 finds them as ever.
        role_arn: role to assume for looking.
        session_name: of the role's session.
        external_id: that the role's trust asks for.
        endpoint_url: of ECS and STS in place of AWS's, for tests; `AWS_ENDPOINT_URL` works by itself.
        timeout: seconds to wait at most.
        poll_interval: seconds between two looks, about.
        opts: of the resource.

    Attributes:
        ip: private IPv4 address of the task.
        task_arn: of the task.
        address: for Dask: `tcp://10.0.1.7:8786`.
    """

    ip: pulumi.Output[str]
    task_arn: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        cluster: pulumi.Input[str],
        service: pulumi.Input[str],
        task_definition: pulumi.Input[str],
        container: pulumi.Input[str],
        region: pulumi.Input[str],
        scheme: pulumi.Input[str] = "tcp",
        port: pulumi.Input[int] = 8786,
        profile: pulumi.Input[str] | None = None,
        role_arn: pulumi.Input[str] | None = None,
        session_name: pulumi.Input[str] | None = None,
        external_id: pulumi.Input[str] | None = None,
        endpoint_url: pulumi.Input[str] | None = None,
        timeout: pulumi.Input[float] = TIMEOUT,
        poll_interval: pulumi.Input[float] = POLL_INTERVAL,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "cluster": cluster,
            "service": service,
            "task_definition": task_definition,
            "container": container,
            "region": region,
            "scheme": scheme,
            "port": port,
            "profile": profile,
            "role_arn": role_arn,
            "session_name": session_name,
            "external_id": external_id,
            "endpoint_url": endpoint_url,
            "timeout": timeout,
            "poll_interval": poll_interval,
            **dict.fromkeys(_OUTPUTS),
        }
        super().__init__(SchedulerAddressProvider(), name, props, opts)


class _Wait:
    """One wait for a task that is ready."""

    def __init__(self, ecs: Ecs, clock: Clock, props: Properties, timeout: float) -> None:
        self._ecs = ecs
        self._clock = clock
        self._props = props
        self._wanted = _wanted(props)
        self._timeout = timeout
        self._deadline = clock.now() + timeout
        self._before: frozenset[str] | None = None
        self._astray_since: float | None = None

    def run(self) -> Found:
        interval = float(self._props.get("poll_interval") or POLL_INTERVAL)
        while True:
            seen = _look(self._ecs, self._props, self._wanted, ("RUNNING", "STOPPED"))
            if found := ready(seen, self._wanted):
                return found
            if reason := self._given_up(seen):
                raise SchedulerNotReady(_message(self._props, self._wanted, seen, reason))
            self._clock.pause(interval, self._deadline)

    def _given_up(self, seen: Seen) -> str | None:
        """Say why nobody waits any longer."""
        if self._before is None:
            self._before = frozenset(task["taskArn"] for task in seen.stopped)
        if reason := hopeless(seen, self._wanted, self._before):
            return reason
        now = self._clock.now()
        reason = astray(seen, self._wanted)
        if reason is None:
            self._astray_since = None
        elif self._astray_since is None:
            self._astray_since = now
        elif now - self._astray_since >= ASTRAY_SECONDS:
            return reason
        return f"none became ready within {self._timeout:g} s" if now >= self._deadline else None


def _look(ecs: Ecs, props: Properties, wanted: Wanted, statuses: Sequence[str]) -> Seen:
    """Look at the service and at its tasks of the wanted definition."""
    cluster = props["cluster"]
    service = ecs.service(cluster, props["service"])
    arns: dict[str, None] = {}
    for status in statuses:
        arns |= dict.fromkeys(ecs.tasks_of(cluster, serviceName=_name(props["service"]), desiredStatus=status))
    return seen_of(service, ecs.describe(cluster, arns), wanted)


def _wanted(props: Properties) -> Wanted:
    return Wanted(props["task_definition"], props["container"])


def _outputs(props: Properties, found: Found) -> dict[str, Any]:
    """Return inputs and outputs; numbers arrive as floats."""
    address = f"{props['scheme']}://{found.ip}:{int(props['port'])}"
    return {**props, "ip": found.ip, "task_arn": found.task_arn, "address": address}


def _message(props: Mapping[str, Any], wanted: Wanted, seen: Seen, reason: str) -> str:
    return (
        f"The scheduler is not ready. Waited for a task of {wanted.task_definition} in service "
        f"{_name(props['service'])!r} of cluster {props['cluster']}: {reason}.\n"
        f"{report(seen, wanted)}\n"
        "What to do: read the log of the scheduler's container, cure what is said above, and run `pulumi up` again, "
        "which waits anew. A task that only needs longer: raise `timeout`."
    )


def _name(service: str) -> str:
    """Return a service's name, which listings ask for."""
    return service.rpartition("/")[2]
