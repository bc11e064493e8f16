"""What this machine is called: fleet and scheduler must speak of the same thing, so on ECS it is the task's id."""

from __future__ import annotations

import json
import random
import socket
import time

from services.worker.settings import WorkerSettings

TRIES = 5
ANSWER_S = 2.0


class MachineUnknown(RuntimeError):
    """The ECS task metadata endpoint does not tell which task this is."""


def machine_name(settings: WorkerSettings) -> str:
    """The name: as set, or the ECS task's id, or the host's.

    Source of the endpoint's address and answer: Amazon ECS task metadata endpoint version 4.

    Raises:
        MachineUnknown: the endpoint gives no answer, after some tries.
    """
    if settings.worker_name:
        return settings.worker_name
    if settings.ecs_container_metadata_uri_v4:
        return _task_id(settings.ecs_container_metadata_uri_v4)
    return socket.gethostname()


def _task_id(uri: str) -> str:
    import urllib.error  # only here: they cost each start 20 ms
    import urllib.request

    problem: Exception | None = None
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(f"{uri}/task", timeout=ANSWER_S) as answer:  # noqa: S310  (ECS names the address)
                return str(json.load(answer)["TaskARN"]).rpartition("/")[2]
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is an answer, with a connection
            time.sleep(0.2 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
    raise MachineUnknown(f"no answer from the ECS task metadata endpoint at {uri}/task: {problem!r}")
