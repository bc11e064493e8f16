"""Dask's side: the real `distributed.deploy.Adaptive` on a port of `SpecCluster` and of FargateCluster's tasks.

Ported from distributed's `deploy/spec.py` and dask_cloudprovider's `aws/ecs.py` (read, not imported: they need an
event loop and AWS):

- one RunTask for each worker; one that is refused is tried again each second for 60 s, then given up, and once more
  whenever the cluster is awaited;
- `_correct_state` runs one at a time and lasts until all that it started are RUNNING; `Adaptive` awaits it before it
  decides while what is planned and what is requested differ;
- closing is `retire_workers(close_workers=True)`, then StopTask: what a busy worker runs begins again elsewhere;
- a worker that vanishes is dropped after 15 s (`lost-worker-timeout`) and replaced when the state is next corrected.

With `waits=False` a RunTask that ECS accepted counts as requested at once and nobody waits for it: better than what
FargateCluster does, and what `AdaptiveCore` by itself would do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any

from botocore.exceptions import ClientError
from distributed.deploy.adaptive import Adaptive

from bench.simulator.world import BEGIN, World

INTERVAL_S = 1.0
WAIT_COUNT = 3
TARGET_DURATION_S = 5.0
TRY_S = 60.0
LOST_S = 15.0

Condition = Callable[[], bool]


class _Until:
    """Awaited in virtual time: goes on when the condition holds; looked at each second."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def __await__(self) -> Generator[Condition, None, None]:
        while not self._condition():
            yield self._condition


class FargateTask:
    """One worker's ECS task, started by one RunTask.

    Attributes:
        id: of the ECS task, once there is one.
        state: `new`, `asked` (accepted or being tried), `running`, `failed` or `closed`.
    """

    def __init__(self, world: World, parameters: dict[str, Any]) -> None:
        self._world = world
        self._parameters = parameters
        self.id: str | None = None
        self.state = "new"
        self._until = 0.0

    def start(self) -> None:
        """Begin to try."""
        self.state = "asked"
        self._until = self._world.now + TRY_S
        self._try()

    def _try(self) -> None:
        if self.state != "asked" or self.id is not None:
            return
        try:
            answer = self._world.ecs.run_task(**self._parameters)
        except ClientError:
            answer = {}
        if answer.get("tasks"):
            self.id = answer["tasks"][0]["taskArn"].rpartition("/")[2]
        elif self._world.now >= self._until:
            self.state = "failed"
        else:
            self._world.at(self._world.now + 1.0, self._try)

    def close(self) -> None:
        """StopTask."""
        self.state = "closed"
        if self.id is not None:
            self._world.ecs.stop_task(cluster="tidegate", task=self.id)


class SpecCluster:
    """What `Adaptive` needs of a cluster; see `distributed.deploy.spec.SpecCluster`.

    Args:
        world: where it lives.
        waits: whether the state is corrected until all new workers run.
    """

    def __init__(self, world: World, *, waits: bool) -> None:
        self._world = world
        self._waits = waits
        self._number = 0
        self._correcting = False
        self._again = False
        self._names: dict[str, int] = {}
        self.worker_spec: dict[int, None] = {}
        self.workers: dict[int, FargateTask] = {}
        self.scheduler_comm = self
        self.scheduler_info = self
        world.on_running = self._running
        world.on_gone = self._gone

    # ---- for Adaptive ----

    @property
    def plan(self) -> set[int]:
        """See `SpecCluster`."""
        return set(self.worker_spec)

    @property
    def requested(self) -> set[int]:
        """See `SpecCluster`."""
        return {name for name in self.workers if name in self.worker_spec}

    @property
    def observed(self) -> set[int]:
        """See `Cluster`."""
        return {self._names[machine] for machine in self._world.dask.workers}

    async def adaptive_target(self, target_duration: float) -> int:
        """The scheduler's."""
        return self._world.dask.adaptive_target(target_duration)

    async def workers_to_close(self, target: int, **_: Any) -> list[int]:
        """The scheduler's, by name."""
        machines = self._world.dask.workers_to_close(target=target, attribute="name")
        return [self._names[machine] for machine in machines]

    async def retire_workers(self, names: Iterable[int], **_: Any) -> None:
        """The scheduler's, with `close_workers=True, remove=True`: it does not wait for what runs."""
        wanted = set(names)
        for machine in list(self._world.dask.workers):
            if self._names[machine] in wanted:
                self._world.dask.gone(machine)

    def scale(self, n: int) -> None:
        """See `SpecCluster.scale`; corrects the state and does not wait for it."""
        if len(self.worker_spec) > n:
            waiting = self.plan - self.observed
            while len(self.worker_spec) > n and waiting:
                del self.worker_spec[waiting.pop()]
        while len(self.worker_spec) > n:
            self.worker_spec.popitem()
        while len(self.worker_spec) < n:
            self.worker_spec[self._number] = None
            self._number += 1
        self._correct()

    async def scale_down(self, workers: Iterable[int]) -> None:
        """See `SpecCluster.scale_down`."""
        for name in workers:
            self.worker_spec.pop(name, None)
        await self

    def __await__(self) -> Generator[Condition, None, None]:
        """Wait until the state has been corrected; tasks that were given up are tried once more."""
        self._correct()
        yield from _Until(lambda: not self._correcting).__await__()
        for task in self.workers.values():
            if task.state == "failed":
                task.start()
        if self._waits:
            yield from _Until(lambda: all(t.state != "asked" for t in self.workers.values())).__await__()

    # ---- inside ----

    def _correct(self) -> None:
        """See `_correct_state`: one at a time, and once more after the present one for whoever asked during it."""
        if self._correcting:
            self._again = True
            return
        self._again = False
        for name in [name for name in self.workers if name not in self.worker_spec]:
            self.workers.pop(name).close()
        started = {name: FargateTask(self._world, self._parameters()) for name in self.worker_spec
                   if name not in self.workers}  # fmt: skip
        for task in started.values():
            task.start()
        if not self._waits:
            self.workers.update(started)
        elif started:
            self._correcting = True
            self._finish(started)

    def _finish(self, started: dict[int, FargateTask]) -> None:
        self._note(started)
        if any(task.state == "asked" for task in started.values()):
            self._world.at(self._world.now + 0.5, self._finish, started)
            return
        self.workers.update(started)
        self._correcting = False
        if self._again:
            self._correct()

    def _note(self, tasks: dict[int, FargateTask]) -> None:
        self._names.update({task.id: name for name, task in tasks.items() if task.id is not None})
        for task in tasks.values():
            if task.state == "asked" and task.id is not None and self._world.ecs.tasks[task.id].started_at is not None:
                task.state = "running"

    def _running(self, machine: str) -> None:
        del machine
        self._note(self.workers)

    def _gone(self, machine: str) -> None:
        name = self._names.get(machine)
        task = None if name is None else self.workers.get(name)
        if name is not None and task is not None and task.id == machine:
            self._world.at(self._world.now + LOST_S, self._lost, name, task)

    def _lost(self, name: int, task: FargateTask) -> None:
        if self.workers.get(name) is task:
            task.close()
            del self.workers[name]

    def _parameters(self) -> dict[str, Any]:
        return {
            "cluster": "tidegate",
            "taskDefinition": "tidegate-worker:1",
            "count": 1,
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}},
        }


def drive(world: World, *, waits: bool = True) -> None:
    """Let `Adaptive` look each second, as its periodic callback does: not while an earlier look still waits."""
    cluster = SpecCluster(world, waits=waits)
    stands_in: Any = cluster
    adaptive = Adaptive(
        stands_in, interval=0, minimum=0, maximum=world.settings.cloud.maximum, wait_count=WAIT_COUNT,
        target_duration=TARGET_DURATION_S,
    )  # fmt: skip
    pending: list[Coroutine[Any, Any, None]] = []

    def tick() -> None:
        if pending or world.dask.left or cluster.worker_spec or cluster.workers:
            look = pending.pop() if pending else adaptive.adapt()
            try:
                look.send(None)
                pending.append(look)
            except StopIteration:
                pass
        world.at(world.now + INTERVAL_S, tick)

    world.at(BEGIN, tick)
