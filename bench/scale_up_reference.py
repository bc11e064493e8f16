"""The reference side of `bench.scale_up`: runs in an environment of its own that has dask-cloudprovider.

Attaches a `FargateCluster` to a scheduler that runs already, scales it up, and waits until all its tasks run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import time
import urllib.request


async def scale(arguments: argparse.Namespace) -> float:
    """Seconds from the request to the moment when all tasks run."""
    from dask_cloudprovider.aws import FargateCluster  # type: ignore[import-not-found]
    from distributed import Scheduler, Status

    scheduler = await Scheduler(host="127.0.0.1", port=0, dashboard=False)
    cluster = await FargateCluster(
        scheduler_address=scheduler.address,
        cluster_arn=arguments.cluster,
        execution_role_arn=arguments.role,
        task_role_arn=arguments.role,
        scheduler_task_definition_arn=arguments.definition,
        worker_task_definition_arn=arguments.definition,
        cloudwatch_logs_group="dask",
        vpc=arguments.vpc,
        subnets=[arguments.subnet],
        security_groups=[arguments.security_group],
        fargate_spot=True,
        fargate_use_private_ip=True,
        skip_cleanup=True,
        n_workers=1,
        asynchronous=True,
    )
    await asyncio.to_thread(mark, arguments.reset)
    began = time.perf_counter()
    cluster.scale(arguments.workers)
    # SpecCluster tells nobody when it is there.
    while sum(worker.status == Status.running for worker in cluster.workers.values()) < arguments.workers:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    await asyncio.to_thread(mark, arguments.reset)
    return seconds


def mark(address: str) -> None:
    """Begin a new count at the server."""
    urllib.request.urlopen(address, timeout=10).close()


async def run(arguments: argparse.Namespace) -> None:
    """Print the seconds and leave at once: an attached cluster cannot be closed, since its scheduler has no `close`."""
    print(json.dumps({"seconds": await scale(arguments)}), flush=True)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("cluster", "definition", "role", "vpc", "subnet", "security-group", "reset"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--workers", type=int, required=True)
    logging.disable(logging.CRITICAL)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
