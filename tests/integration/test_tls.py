"""The Dask cluster over TLS, certificates as PEM text in the environment: everybody joins in, and no stranger does."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from distributed.core import rpc
from distributed.security import Security

from services import probe
from services.autoscaler.errors import SchedulerUnavailable
from services.autoscaler.scheduler import SchedulerClient
from services.compute.security import security
from services.compute.settings import SchedulerSettings
from tests.harness.certificates import Authority, Certificate
from tests.harness.fixtures import module_stack
from tests.harness.ledger import Ledger
from tests.harness.stack import Stack

AUTHORITY = Authority()
MEMBER = AUTHORITY.issue()
FOREIGN = Authority().issue()  # of the same name, to make it no easier
stack = module_stack(workers=2, threads=2, member=MEMBER)


def port(stack: Stack) -> int:
    return int(stack.scheduler.environment["SCHEDULER_PORT"])


def as_member(stack: Stack, certificate: Certificate) -> SchedulerSettings:
    parts = {name.lower(): text for name, text in certificate.environment().items()}
    return SchedulerSettings.model_validate({"scheduler_address": f"tls://127.0.0.1:{port(stack)}", **parts})


def test_tasks_run_and_talk_across_workers(stack: Stack, ledger: Ledger) -> None:
    client = stack.client()
    task_id = client.submit("fan_out", {"ledger": str(ledger), "n": 10, "width": 8, "seconds": 0.2})
    client.done([task_id])
    assert client.value(task_id) == sum(range(11, 19))
    assert len(ledger.pids()) > 1, "results of one worker went to another"
    assert all(address.startswith("tls://") for address in stack.scheduler_workers() or {})


def test_a_worker_joins_with_certificates_in_files(stack: Stack) -> None:
    paths = {}
    for name, text in AUTHORITY.issue("other").environment().items():
        path = stack.directory / f"{name}.pem"
        path.write_text(text)
        paths[name] = str(path)
    worker = stack.add_worker(environment=paths)
    stack.wait_workers(3)
    assert worker.terminate() == 0
    stack.workers.remove(worker)
    for path in stack.directory.glob("*.pem"):
        path.unlink()


def test_the_autoscaler_asks(stack: Stack) -> None:
    settings = as_member(stack, MEMBER)
    ours = SchedulerClient([settings.scheduler_address], security(settings), 25.0)
    foreign = SchedulerClient([settings.scheduler_address], security(as_member(stack, FOREIGN)), 25.0)
    try:
        assert {worker.machine for worker in ours.look().workers} >= {"machine1", "machine2"}
        with pytest.raises(SchedulerUnavailable, match="no Dask scheduler answers"):
            foreign.look()
    finally:
        ours.close()
        foreign.close()


def test_the_probe_is_a_member_too(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"SCHEDULER_PORT": str(port(stack))}
    probe.probe("scheduler", where | MEMBER.environment())
    monkeypatch.setattr(probe, "LIMIT_S", 1.0)
    with pytest.raises(OSError):  # noqa: PT011  (of whichever kind TLS chooses)
        probe.probe("scheduler", where | FOREIGN.environment())
    with pytest.raises(OSError):  # noqa: PT011
        probe.probe("scheduler", where)


def without_certificate() -> dict[str, Any]:
    context = ssl.create_default_context(cadata=AUTHORITY.ca)
    context.check_hostname = False
    return {"ssl_context": context, "require_encryption": True, "extra_conn_args": {}}


@pytest.mark.parametrize(
    ("protocol", "arguments"),
    [
        ("tcp", Security().get_connection_args("client")),
        ("tls", without_certificate()),
        (
            "tls",
            security(
                SchedulerSettings.model_validate(
                    {name.lower(): text for name, text in FOREIGN.environment().items()}
                    | {"scheduler_address": "tls://x:1"}
                )
            ).get_connection_args("client"),
        ),
    ],
    ids=["plain", "no certificate", "foreign certificate"],
)
@pytest.mark.parametrize("part", ["scheduler", "worker"])
async def test_strangers_are_refused(stack: Stack, part: str, protocol: str, arguments: dict[str, Any]) -> None:
    found = await asyncio.to_thread(stack.scheduler_workers)
    address = f"tls://127.0.0.1:{port(stack)}" if part == "scheduler" else next(iter(found or {}))
    stranger = rpc(f"{protocol}://{address.partition('://')[2]}", timeout=1, connection_args=arguments)
    with pytest.raises(OSError):  # noqa: PT011
        await stranger.identity()
    await stranger.close_rpc()
    member = rpc(address, timeout=5, connection_args=security(stack.dask_settings()).get_connection_args("client"))
    assert (await member.identity())["id"]
    await member.close_rpc()


def test_no_key_is_written_anywhere(stack: Stack) -> None:
    secret = MEMBER.key.splitlines()[1]
    holding = [path for path in stack.directory.rglob("*") if path.is_file() and secret in path.read_text("latin-1")]
    assert holding == []
