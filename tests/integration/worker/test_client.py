"""The client that running code reaches the cluster with: one for all threads, whatever the scheduler says meanwhile."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client, Scheduler, get_client, secede
from distributed.deploy.spec import SpecCluster

from services.worker.dask_worker import CONNECTS, TidegateWorker, make_pool
from tests.harness.waiting import eventually

THREADS = 8
TOGETHER = threading.Barrier(THREADS)


class Talkative(Scheduler):
    """Tells clients of somebody's cancellation together with the greeting, as any cancellation then would."""

    interruptions = 0

    def start_http_server(self, *args: object, **kwargs: object) -> None:
        """Do nothing."""

    async def handle_stream(self, comm: Any, extra: Any = None) -> None:
        if "-worker-" in str((extra or {}).get("client")) and self.interruptions:
            self.interruptions -= 1
            self.report({"op": "cancelled-keys", "keys": [], "reason": None, "msg": None})
        await super().handle_stream(comm, extra)


@pytest.fixture
def cluster() -> Iterator[SpecCluster]:
    """A scheduler and one worker process's `TidegateWorker`, here."""
    pool = make_pool(THREADS, "check")
    with SpecCluster(
        scheduler={"cls": Talkative, "options": {"host": "127.0.0.1", "dashboard": False}},
        workers={0: {"cls": TidegateWorker, "options": {"pool": pool, "nthreads": THREADS, "host": "127.0.0.1"}}},
        silence_logs=False,
    ) as made:
        yield made
    pool.shutdown(wait=True)


def increment(number: int) -> int:
    return number + 1


def through_the_cluster(number: int) -> tuple[int, str]:
    """What a computation with children does."""
    TOGETHER.wait(20)
    client = get_client()
    secede()
    return client.submit(increment, number, pure=False).result(timeout=20), client.id


def run_all(client: Client) -> set[str]:
    """Run as many at once as there are threads; which clients they used."""
    futures = [client.submit(through_the_cluster, number, pure=False) for number in range(THREADS)]
    answers = client.gather(futures)
    assert [value for value, _ in answers] == [number + 1 for number in range(THREADS)]
    return {name for _, name in answers}


def _clients_of_worker(scheduler: Scheduler) -> int:
    gc.collect()  # Dask leaves a connection without its greeting to the collector
    return sum("-worker-" in name for name in scheduler.clients)


def test_all_threads_share_one_client_though_connecting_is_interrupted(cluster: SpecCluster) -> None:
    scheduler = cluster.scheduler
    assert isinstance(scheduler, Talkative)
    scheduler.interruptions = CONNECTS - 1
    with Client(cluster, set_as_default=False) as client:
        assert len(run_all(client)) == 1
        assert scheduler.interruptions == 0
        eventually(lambda: _clients_of_worker(scheduler) == 1, "those that could not connect are gone", seconds=20)


def test_one_that_never_connects_is_given_up_and_a_later_task_tries_again(cluster: SpecCluster) -> None:
    scheduler = cluster.scheduler
    assert isinstance(scheduler, Talkative)
    scheduler.interruptions = CONNECTS * THREADS
    with Client(cluster, set_as_default=False) as client:
        futures = [client.submit(through_the_cluster, n, pure=False) for n in range(THREADS)]
        for future in futures:
            with pytest.raises(AssertionError):
                future.result(timeout=60)
        assert len(run_all(client)) == 1
