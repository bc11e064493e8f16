"""Dask's `Worker`, changed where ours must behave differently: a lost scheduler does not end what runs.

The thread pool is the process's, not the worker's: it outlives the `Worker` objects that join one scheduler after the
other, so that running code keeps its thread and a rejoined process still runs no more at a time than it has threads.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import Any

from dask.typing import no_default
from distributed.client import Client
from distributed.core import Status
from distributed.threadpoolexecutor import ThreadPoolExecutor
from distributed.utils import in_async_call
from distributed.worker import Worker

STRAY_S = 2.0
"""Short children of an ended parent end by themselves in this time, and shall not cost a process."""
CLIENT_CLOSE_S = 2.0
"""What closing the process's own Dask client may take."""
CONNECTS = 5
"""How often connecting that client is tried when the scheduler's greeting is not understood."""
CONNECT_PAUSE_S = 0.1
"""Up to so long between two of these."""


class TaskClient(Client):
    """The client that running code reaches the cluster with; one that could not connect is closed.

    Dask's would stay behind as the process's default, "connecting" for ever: what is sent through it goes nowhere.
    """

    def start(self, **options: Any) -> None:
        """Connect, as Dask does when one is made outside of an event loop."""
        try:
            super().start(**options)  # type: ignore[no-untyped-call]
        except BaseException:
            self.close(CLIENT_CLOSE_S)  # type: ignore[no-untyped-call]
            raise


class TidegateWorker(Worker):
    """A worker that can be told to leave, and that leaves its thread pool behind.

    Args:
        scheduler: address.
        pool: the process's threads.
        options: as Dask's.
    """

    def __init__(self, scheduler: str, pool: Executor, **options: Any) -> None:
        self.leaving = False
        self.pool = pool
        self._connecting = threading.Lock()
        super().__init__(scheduler, executor=pool, **options)

    def leave(self) -> None:
        """Begin nothing more. Unlike Dask's own status change this holds when the scheduler takes it back."""
        if not self.leaving:
            self.leaving = True
            if self.status in (Status.running, Status.paused):
                self.status = Status.closing_gracefully

    def handle_worker_status_change(self, status: str, stimulus_id: str) -> None:
        """As Dask, except that a worker that leaves is not put back to work (a refused retirement does that)."""
        if self.leaving and status == Status.running.name:
            self._send_worker_status_change(stimulus_id)
        else:
            super().handle_worker_status_change(status, stimulus_id)

    def start_http_server(self, *args: object, **kwargs: object) -> None:
        """Do nothing: Dask would serve HTTP at a port of its own choice, on all addresses."""

    async def close(  # type: ignore[override]
        self,
        timeout: float = 5,  # noqa: ASYNC109
        executor_wait: bool = False,
        nanny: bool = False,
        reason: str = "worker-close",
    ) -> str | None:
        """As Dask, without waiting for running code and without ending the process's thread pool."""
        self.executors = {name: each for name, each in self.executors.items() if each is not self.pool}
        return await super().close(timeout=timeout, executor_wait=executor_wait, nanny=nanny, reason=reason)

    @property
    def retired(self) -> bool:
        """Whether it begins nothing more, by its own wish or the scheduler's.

        Dask leaves what was sent here just before that where it is, until the worker is closed.
        """
        return bool(self.status is Status.closing_gracefully)

    def send_back_ready(self) -> int:
        """Return to the scheduler what was sent here and has not begun; how many tasks that were."""
        stimulus = f"drain-{time.time()}"
        ready = [task.key for task in (*self.state.ready.sorted(), *self.state.constrained.sorted())]
        for key in ready:
            self.batched_send({"op": "reschedule", "key": key, "worker": self.address, "stimulus_id": stimulus})
        return len(ready)

    def running_keys(self) -> set[str]:
        """Keys of all tasks that hold a thread here, seceded ones too."""
        return {str(task.key) for task in self.state.all_running_tasks}

    def released_keys(self) -> set[str]:
        """Keys of tasks that still hold a thread here although the scheduler has let go of them: nobody wants them."""
        return {str(task.key) for task in self.state.all_running_tasks if task.state == "cancelled"}

    def _get_client(self, timeout: float | None = None) -> Client:
        """As Dask, except that all threads get the same client, and get it connected.

        Dask's own hands out clients that another thread is still connecting (dask/distributed#5467), and fails when
        the scheduler cancels anything of anybody's in the moment between a client's arrival and its greeting: that goes
        to all clients, and `Client._ensure_connected` asserts that the greeting comes alone.

        Raises:
            OSError: the scheduler does not answer.
        """
        if in_async_call(self.loop):
            return super()._get_client(timeout)
        with self._connecting:
            if self._client is None or self._client.status in ("closing", "closed"):
                self._client = self._connect(timeout)
            return self._client

    def _connect(self, timeout: float | None) -> Client:
        left = CONNECTS
        while True:
            left -= 1
            try:
                client = TaskClient(  # type: ignore[no-untyped-call]
                    self.scheduler.address,
                    loop=self.loop,
                    security=self.security,
                    timeout=no_default if timeout is None else timeout,
                    direct_to_workers=True,
                    name="worker",
                )
            except AssertionError:
                if not left:
                    raise
                time.sleep(random.uniform(0, CONNECT_PAUSE_S))  # noqa: S311
            else:
                Worker._initialized_clients.add(client)  # Dask closes these with the worker
                return client

    async def let_go_of_children(self, parents: Collection[str]) -> None:
        """Let the scheduler release what these tasks have put on the cluster, unless others here wait for theirs.

        All tasks of a process share one Dask client, so it is theirs to close only when nobody else may need it.
        """
        waiting = {str(task.key) for task in self.state.long_running}
        if self._client is not None and waiting <= set(parents):
            client, self._client = self._client, None
            await asyncio.to_thread(client.close, CLIENT_CLOSE_S)


class Strays:
    """Finds code that runs on although nobody wants its result: children whose parent was ended or has gone.

    Args:
        patience: seconds that such code may take to end by itself.
        clock: monotonic seconds.
    """

    def __init__(self, patience: float = STRAY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._since: dict[str, float] = {}

    def late(self, released: Collection[str]) -> set[str]:
        """Which of the keys that are released now have been so for too long."""
        now = self._clock()
        self._since = {key: self._since.get(key, now) for key in released}
        return {key for key, since in self._since.items() if now - since >= self._patience}


def make_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """The process's threads; Dask's own kind, which a running task can leave (`secede`)."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"{name}-tasks")


def lost_scheduler(patience: float = 2.0, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether the Dask worker whose task the calling thread runs is no longer connected.

    Clients notice a scheduler's end a moment before the worker does: waits `patience` seconds for it.
    """
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return False
    for _ in range(max(1, int(patience / 0.1))):
        if worker.status not in (Status.running, Status.paused, Status.closing_gracefully):
            return True
        sleep(0.1)
    return False
