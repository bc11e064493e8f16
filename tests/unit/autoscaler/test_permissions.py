"""The list of permissions is that of the calls which the code makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from services.autoscaler import permissions
from services.autoscaler.fleet import ecs as module
from services.autoscaler.fleet.ecs import EcsFleet
from services.autoscaler.permissions import PERMISSIONS, WITHOUT_CALL, Resource
from services.autoscaler.settings import EcsSettings
from tests.fakes.ecs_limits import service_model
from tests.unit.autoscaler.ecs_world import EcsWorld

PREFIXES = {"ecs": "ecs", "service-quotas": "servicequotas"}


class Recording:
    """A client that notes the actions for which its methods are called."""

    def __init__(self, client: Any, service: str, actions: set[str]) -> None:
        self._client = client
        self._service = service
        self._actions = actions

    def __getattr__(self, method: str) -> Any:
        if method != "close":
            self._actions.add(f"{PREFIXES[self._service]}:{operations(self._service)[method]}")
        return getattr(self._client, method)


def operations(service: str) -> dict[str, str]:
    """Operations by the names that boto3's methods have."""
    from botocore import xform_name

    return {xform_name(name): name for name in service_model(service).operation_names}


def called() -> set[str]:
    """Actions of all that a fleet does."""
    world = EcsWorld()
    actions: set[str] = set()
    settings = EcsSettings(
        ecs_cluster="tidegate",
        worker_task_definition="worker:1",
        worker_subnets="subnet-1",
        worker_security_groups="sg-1",
        worker_vcpu=1,
    )
    world.fleet = EcsFleet(
        Recording(world.fake, "ecs", actions), settings, world.clock, Recording(world.quotas, "service-quotas", actions)
    )
    world.fleet.check(1)
    (machine,) = world.running(1)
    world.fleet.stop(machine, "enough")
    world.fleet.close()
    return actions


def test_what_is_called_is_allowed_and_nothing_else() -> None:
    assert {permission.action for permission in PERMISSIONS} == called() | WITHOUT_CALL


def test_no_operation_in_the_source_is_missed_by_the_calls() -> None:
    source = Path(module.__file__).read_text(encoding="utf-8")
    named = {
        f"{PREFIXES[service]}:{operation}"
        for service in PREFIXES
        for method, operation in operations(service).items()
        if f'"{method}"' in source or f".{method}(" in source
    }
    assert named == called()


def test_each_is_narrowed_and_explained() -> None:
    actions = [permission.action for permission in PERMISSIONS]
    assert len(set(actions)) == len(actions)
    for permission in PERMISSIONS:
        assert permission.why
        assert permission.condition or permission.resource is not Resource.CLUSTER_TASKS
    unconditional = [permission.action for permission in PERMISSIONS if permission.condition is None]
    assert unconditional == ["servicequotas:GetServiceQuota"]


def test_the_list_needs_the_standard_library_alone() -> None:
    script = f"import runpy, sys; runpy.run_path({permissions.__file__!r}); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {name.partition(".")[0] for name in loaded.stdout.split()} & {"services", "pydantic", "boto3", "dask"}
