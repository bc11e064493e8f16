"""Equal requests at the same time, over two API processes, are one task that runs once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx

from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack

stack = module_stack(apis=2, workers=2)


async def test_500_identical_posts_over_two_apis_run_once(stack: Stack, ledger: Ledger) -> None:
    parameters = {"ledger": str(ledger), "n": 1, "seconds": 0.5}
    async with AsyncExitStack() as leave:
        limits = httpx.Limits(max_connections=25)  # many small pools: a pool's own work grows with its square
        clients = [
            await leave.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False, limits=limits))
            for _ in range(20)
        ]

        async def post(index: int) -> httpx.Response:
            url = stack.apis[index % 2].url
            return await clients[index % 20].post(f"{url}/api/v1/computations/counted/tasks", json=parameters)

        answers = await asyncio.gather(*(post(index) for index in range(500)))

    assert set(Counter(answer.status_code for answer in answers)) <= {200, 202}
    (task_id,) = {answer.json()["task_id"] for answer in answers}
    assert task_id.startswith("counted-")
    for index in range(2):
        (record,) = stack.client(index).done([task_id])
        assert record["attempts"] == 1
    assert ledger.counts() == {1: 1}

    again = stack.client(1).post("counted", parameters)
    assert (again.status_code, again.json()["result"]) == (200, 1)
    assert ledger.counts() == {1: 1}


def test_a_batch_of_equal_sets_over_two_apis_runs_each_once(stack: Stack, ledger: Ledger) -> None:
    sets = [{"ledger": str(ledger), "n": n % 50, "seconds": 0.01} for n in range(500)]
    first, second = stack.client(0).batch("counted", sets), stack.client(1).batch("counted", sets)
    assert first == second
    assert len(set(first)) == 50
    stack.client(0).done(first)
    assert ledger.counts() == dict.fromkeys(range(50), 1)
