"""Metrics as log lines of real processes: exactly what the tables state, which dashboards and alarms are held to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.api import emitted as api
from services.autoscaler import emitted as autoscaler
from services.compute.emf import Table
from tests.harness.emf import read_all
from tests.harness.process import Managed
from tests.harness.waiting import eventually
from tests.integration.autoscaler.cluster import Cluster

EMF = {"METRICS_EMF": "true", "METRICS_INTERVAL": "1", "METRICS_STACK": "check", "METRICS_NAMESPACE": "Tidegate/Test"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, EMF)
    made.stack.environment.update(EMF)
    made.stack.valkey.command += ["--maxmemory", "256mb"]
    try:
        made.start()
        made.stack.add_api()
        made.stack.wait_ready()
        yield made
    except BaseException:
        made.stop(gently=False)
        raise
    made.stop()


def told(process: Managed, table: Table) -> dict[str, list[float]]:
    """All values that a process has told."""
    return read_all(process.log.read_text().splitlines(), table)


def test_processes_tell_what_the_tables_state(cluster: Cluster) -> None:
    apis, (scaler,) = cluster.stack.apis, cluster.autoscalers
    client = cluster.stack.client()
    client.done(cluster.submit(6, 0.2))
    with contextlib.suppress(AssertionError):
        client.get("counted-" + 32 * "0")

    def all_told() -> bool:
        return set(told(scaler, autoscaler.EMITTED)) == set(autoscaler.EMITTED) and {
            *told(apis[0], api.EMITTED),
            *told(apis[1], api.EMITTED),
        } == set(api.EMITTED)

    eventually(all_told, "every metric of the tables was told", seconds=60, pause=0.5)
    one, other = (told(each, api.EMITTED) for each in apis)
    assert ("QueueDepth" in one) != ("QueueDepth" in other), "one process speaks for the stack"
    assert one["SchedulerUp"][-1] == other["SchedulerUp"][-1] == one["StoreUp"][-1] == 1
    assert sum(one["Requests"]) >= 2
    assert sum(one["Errors5xx"]) == 0
    fleet = told(scaler, autoscaler.EMITTED)
    assert fleet["FleetSpot"][-1] + fleet["FleetOnDemand"][-1] == fleet["FleetMachines"][-1] >= 1
    assert sum(fleet["WorkerHoursSpot"]) > 0
    line = next(line for line in scaler.log.read_text().splitlines() if '"_aws"' in line)
    assert json.loads(line)["Stack"] == "check"
    assert json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Tidegate/Test"
