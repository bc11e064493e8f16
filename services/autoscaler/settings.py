"""Settings of the autoscaler, from the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from services.compute.settings import EnvironmentSettings

_DEFINITION = re.compile(r"^(?:arn:[a-z-]+:ecs:[a-z0-9-]+:\d{12}:task-definition/)?([A-Za-z0-9_-]{1,255}):([1-9]\d*)$")


class PolicySettings(EnvironmentSettings):
    """How many machines there should be; `docs/autoscaling.md` explains the choice of each default."""

    workers_min: int = Field(1, ge=0, description="Machines kept also without work; 0 scales to zero.")
    workers_max: int = Field(100, ge=1, description="Machines at most.")
    scale_up_step: int = Field(
        100, ge=1, description="Machines asked for in one round, at most, whatever they are for."
    )
    target_duration: float = Field(
        25.0,
        gt=0,
        description="Seconds in which the fleet should be able to do all work at hand, when it is large enough.",
    )
    stabilization_window: float = Field(
        0.0,
        ge=0,
        description="Seconds for which machines stay that were wanted at any time within them; raise it where work "
        "comes in bursts with short pauses.",
    )
    fluctuation_window: float = Field(
        300.0,
        ge=0,
        description="Seconds over which the machines that work needs are averaged, as long as that does not change; at "
        "least `MINIMUM_BILL`.",
    )
    minimum_bill: float = Field(
        60.0, ge=0, description="Seconds that a machine is billed for at least; it is not stopped before."
    )
    newest_grace: float = Field(
        15.0, ge=0, description="Seconds for which a machine that has just joined is not stopped."
    )
    join_timeout: float = Field(
        300.0, gt=0, description="Seconds in which a machine must have joined the scheduler; then it is replaced."
    )
    rollout_surge: int = Field(
        10, ge=1, description="Machines beyond `WORKERS_MAX` while new code replaces old, or Spot on-demand, at most."
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.workers_min > self.workers_max:
            raise ValueError(
                f"WORKERS_MIN is {self.workers_min}, WORKERS_MAX {self.workers_max}: lower the one or raise the other"
            )
        return self


class MachineSettings(EnvironmentSettings):
    """What one machine brings; the workers have the same variables."""

    worker_processes: int = Field(1, ge=1, description="Worker processes of each machine, as its workers have it.")
    worker_threads: int = Field(1, ge=1, description="Threads of each worker process, as its workers have it.")


class EcsSettings(EnvironmentSettings):
    """The fleet of ECS tasks on Fargate."""

    ecs_cluster: str | None = Field(None, description="Name or ARN of the ECS cluster.")
    worker_task_definition: str | None = Field(
        None, description="Task definition of the workers with its revision: `family:7`, or the whole ARN."
    )
    worker_subnets: str | None = Field(None, description="Subnets of the workers, comma-separated.")
    worker_security_groups: str | None = Field(None, description="Security groups of the workers, comma-separated.")
    worker_public_ip: bool = Field(False, description="Whether workers get public addresses (subnets without NAT).")
    worker_vcpu: float | None = Field(
        None,
        gt=0,
        description="vCPUs of the workers' task definition, to hold Fargate's quotas against; unset: not held.",
    )
    fleet_name: str = Field(
        "tidegate",
        pattern=r"^[A-Za-z0-9_/-]{1,100}$",
        description="Marks the tasks of this fleet (`startedBy` and a tag): one name per stack in a cluster.",
    )
    on_demand_base: int = Field(0, ge=0, description="Machines that are on-demand; those beyond are Spot.")
    use_spot: bool = Field(True, description="Whether to use Spot at all.")
    spot_fallback_after: float = Field(
        60.0, ge=0, description="Seconds without Spot capacity after which machines are started on-demand."
    )
    spot_retry_after: float = Field(
        300.0, gt=0, description="Seconds after which Spot is tried again while machines are started on-demand."
    )

    @field_validator("worker_task_definition")
    @classmethod
    def _with_revision(cls, value: str | None) -> str | None:
        if value is not None and not _DEFINITION.match(value):
            raise ValueError(f"{value!r} has no revision: give family:revision or the ARN of one revision")
        return value

    @property
    def family(self) -> str:
        """Family of the workers' task definition."""
        return self._definition()[0]

    @property
    def revision(self) -> str:
        """Its revision, as text."""
        return self._definition()[1]

    def _definition(self) -> tuple[str, str]:
        match = _DEFINITION.match(self.worker_task_definition or "")
        if match is None:
            raise ValueError("WORKER_TASK_DEFINITION is not set")
        return match[1], match[2]


class LocalFleetSettings(EnvironmentSettings):
    """The fleet of processes on this machine."""

    local_fleet_log: Path | None = Field(
        None, description="File that takes the output of the worker processes; unset: the autoscaler's own output."
    )
    worker_grace: float = Field(110.0, ge=0, description="Seconds that workers may take to finish what they run.")


class AutoscalerSettings(PolicySettings, MachineSettings, EcsSettings, LocalFleetSettings):
    """Everything of its own that the autoscaler process reads from the environment."""

    fleet: Literal["ecs", "local"] = Field(
        "ecs", description="`ecs`: tasks on Fargate; `local`: processes on this machine."
    )
    observe_only: bool = Field(False, description="Decide and report, and act on nothing.")
    autoscaler_interval: float = Field(
        5.0, gt=0, le=10, description="Seconds between two rounds; the lease of 15 s must outlast them."
    )
    autoscaler_host: str = Field("0.0.0.0", description="Address of `/metrics` and `/livez`.")  # noqa: S104
    autoscaler_port: int = Field(8080, ge=0, le=65535, description="Port of `/metrics` and `/livez`; 0: off.")

    @model_validator(mode="after")
    def _ecs_is_complete(self) -> Self:
        wanted = {
            "ECS_CLUSTER": self.ecs_cluster,
            "WORKER_TASK_DEFINITION": self.worker_task_definition,
            "WORKER_SUBNETS": self.worker_subnets,
            "WORKER_SECURITY_GROUPS": self.worker_security_groups,
        }
        missing = [name for name, value in wanted.items() if not value]
        if self.fleet == "ecs" and missing:
            raise ValueError(f"FLEET=ecs needs {', '.join(missing)}: set them, or FLEET=local")
        return self
