"""The end of a fleet: its delete stops the workers that the autoscaler has started, and waits until they are gone.

Workers are the autoscaler's, not Pulumi's, and ECS refuses to delete a cluster that has tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from infra.dynamic.aws import Ecs
from infra.dynamic.clock import Clock
from infra.dynamic.provider import EcsProvider, difference
from infra.dynamic.refusals import AwsRefused, ClusterMissing
from services.autoscaler.fleet.ecs_task import FLEET_TAG, Task, started_by, stopped, task_id
from services.autoscaler.fleet.quota import TokenBucket

TIMEOUT = 300.0
"""Of a small fleet: a worker drains for two minutes at most, and ECS takes its time to say so."""
POLL_INTERVAL = 5.0
LOOKS = 2
"""Looks, one after the other, that must find nothing: the last tasks of an autoscaler may not be listed yet."""
# RunTask and StopTask share a bucket of the account's (burst 100, 40/s), which others use as well.
STOP_BURST, STOP_RATE = 50, 30
_SHARE = 0.5
"""Of that rate, what is reckoned with: throttled stops are made again, and looks take time too."""
_TOLD = 5


class FleetStillRuns(Exception):
    """Tasks of the fleet were still there when the time was over."""


def timeout_for(workers: int) -> float:
    """Return the seconds in which a fleet of so many workers can be gone."""
    return TIMEOUT + workers / (STOP_RATE * _SHARE)


class FleetStopProvider(EcsProvider):
    """What Pulumi calls; only `delete` does anything."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Note what is to be stopped one day."""
        return CreateResult(f"{props['cluster']}/{props['fleet_name']}", props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return what was noted: there is nothing in AWS that it could differ from."""
        return ReadResult(id_, props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another fleet, so that the old one is stopped; note other changes for the day of the delete."""
        return difference(olds, news, replacing=("cluster", "fleet_name"))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Note how the fleet is reached from now on."""
        return UpdateResult(news)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop all tasks of the fleet and wait until they are gone; a cluster that is gone has none.

        Raises:
            FleetStillRuns: some are still there at the end of the time.
            AwsRefused: whoever runs Pulumi may not stop or see them, or works in another account than the cluster's.
        """
        timeout = float(props.get("timeout") or TIMEOUT)
        try:
            with self.world.ecs(props, self.world.clock.now() + timeout) as ecs:
                _Stop(ecs, self.world.clock, props["cluster"], props["fleet_name"]).run(timeout)
        except ClusterMissing as missing:
            self.world.confirm_gone(props, missing)


class FleetStop(Resource, module="tidegate", name="FleetStop"):
    """Stops a fleet when it is destroyed.

    The order is the program's to give: this resource depends on what workers need, and the autoscaler's service on this
    resource. So a destroy removes the service first, then stops what it has left, and the rest with the cluster last.

    Another `cluster` or `fleet_name` replaces the resource, and the delete of the old one stops the old fleet. Always
    give the cluster's ARN: its name in place of its ARN would count as another cluster.

    Args:
        name: of the resource.
        cluster: ARN of the ECS cluster.
        fleet_name: as the autoscaler has it; tasks of other fleets in the cluster are left alone.
        region: of the cluster.
        profile: of the AWS configuration to take credentials from; by default boto3 finds them as ever.
        role_arn: role to assume.
        session_name: of the role's session.
        external_id: that the role's trust asks for.
        endpoint_url: of ECS and STS in place of AWS's, for tests; `AWS_ENDPOINT_URL` works by itself.
        timeout: seconds until all must be gone; `timeout_for` knows how many.
        opts: of the resource.
    """

    def __init__(
        self,
        name: str,
        *,
        cluster: pulumi.Input[str],
        fleet_name: pulumi.Input[str],
        region: pulumi.Input[str],
        profile: pulumi.Input[str] | None = None,
        role_arn: pulumi.Input[str] | None = None,
        session_name: pulumi.Input[str] | None = None,
        external_id: pulumi.Input[str] | None = None,
        endpoint_url: pulumi.Input[str] | None = None,
        timeout: pulumi.Input[float] = TIMEOUT,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "cluster": cluster,
            "fleet_name": fleet_name,
            "region": region,
            "profile": profile,
            "role_arn": role_arn,
            "session_name": session_name,
            "external_id": external_id,
            "endpoint_url": endpoint_url,
            "timeout": timeout,
        }
        super().__init__(FleetStopProvider(), name, props, opts)


class _Stop:
    """One delete: looks, stops what it sees, and looks again until nothing is left."""

    def __init__(self, ecs: Ecs, clock: Clock, cluster: str, fleet: str) -> None:
        self._ecs = ecs
        self._clock = clock
        self._cluster = cluster
        self._fleet = fleet
        self._bucket = TokenBucket(STOP_BURST, STOP_RATE, clock.now)
        self._seen: set[str] = set()
        self._settled: set[str] = set()

    def run(self, timeout: float) -> None:
        deadline = self._clock.now() + timeout
        empty = 0
        while True:
            left = self._look()
            empty = 0 if left else empty + 1
            if empty == LOOKS:
                return
            for task in left:
                if task.get("desiredStatus") != "STOPPED":
                    self._stop(task["taskArn"])
            if left and self._clock.now() >= deadline:
                raise FleetStillRuns(self._message(left, timeout))
            self._clock.pause(POLL_INTERVAL, max(deadline, self._clock.now() + POLL_INTERVAL))

    def _look(self) -> list[dict[str, Any]]:
        """Return the fleet's tasks that are not gone.

        `startedBy` must be the only filter of a listing, which then leaves out tasks that drain. Those are found among
        all that the cluster stopped within the hour, each described once unless it is ours.
        """
        listed = {*self._ecs.tasks_of(self._cluster, startedBy=started_by(self._fleet))}
        listed.update(self._ecs.tasks_of(self._cluster, desiredStatus="STOPPED"))
        left = []
        for task in self._ecs.describe(self._cluster, sorted((listed | self._seen) - self._settled)):
            if stopped(task) or not self._owns(task):
                self._settled.add(task["taskArn"])
            else:
                self._seen.add(task["taskArn"])
                left.append(task)
        return left

    def _owns(self, task: Task) -> bool:
        tags: Mapping[Any, Any] = {tag.get("key"): tag.get("value") for tag in task.get("tags", ())}
        return task.get("startedBy") == started_by(self._fleet) and tags.get(FLEET_TAG) == self._fleet

    def _stop(self, arn: str) -> None:
        while wait := self._bucket.take(1):
            self._clock.sleep(max(wait, 0.001))  # a shorter wait may round to none
        reason = f"The stack that fleet {self._fleet} belongs to is destroyed"
        try:
            self._ecs.call("stop_task", cluster=self._cluster, task=arn, reason=reason)
        except ClusterMissing:
            raise
        except AwsRefused as refused:
            if "not found" not in str(refused):
                raise

    def _message(self, left: list[dict[str, Any]], timeout: float) -> str:
        tasks = "\n".join(
            f"  task {task_id(task['taskArn'])} is {task.get('lastStatus')}, wanted {task.get('desiredStatus')}"
            for task in left[:_TOLD]
        )
        return (
            f"{len(left)} tasks of fleet {self._fleet!r} are still in cluster {self._cluster} after {timeout:g} s, so "
            f"that ECS would refuse to delete it:\n{tasks}\n"
            "What to do: make sure that no autoscaler of this fleet runs any more, and run `pulumi destroy` again: it "
            f"goes on from here, for another {timeout:g} s (reckoned from tidegate:workersMax at the last `pulumi up`)."
        )
