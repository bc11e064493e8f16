"""What the simulator assumes. Chosen for what a user of the service would see, before any result was there."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra import prices
from services.autoscaler.settings import AutoscalerSettings

_FARGATE = prices.FARGATE["linux/amd64"]


@dataclass(frozen=True)
class Prices:
    """Dollars for Fargate, Linux on x86.

    Attributes:
        vcpu_hour: on-demand, for one vCPU and hour.
        gb_hour: on-demand, for one GB of memory and hour.
        spot_share: what Spot costs of that.
        vcpu: of a machine.
        memory: of a machine, in GB.
    """

    vcpu_hour: float = _FARGATE.vcpu
    gb_hour: float = _FARGATE.gb
    spot_share: float = prices.SPOT_SHARE
    vcpu: float = 2.0
    memory: float = 4.0

    @property
    def on_demand(self) -> float:
        """Dollars for a machine's second."""
        return (self.vcpu * self.vcpu_hour + self.memory * self.gb_hour) / 3600

    @property
    def spot(self) -> float:
        """Dollars for a machine's second on Spot."""
        return self.on_demand * self.spot_share


@dataclass(frozen=True)
class Cloud:
    """The machines, the same for all sides; times in seconds.

    Attributes:
        maximum: machines at most; the minimum is 0.
        threads: of each machine.
        start_low: shortest time from RunTask to RUNNING.
        start_high: longest; uniform between.
        pull_share: part of it before the image is pulled, when the bill begins.
        minimum_bill: what a machine is billed for at least.
        imports: from RUNNING until a worker is at the scheduler.
        grace: that a drain may take, before what runs is given up.
        leave: from a worker's end until its container has ended.
    """

    maximum: int = 100
    threads: int = 2
    start_low: float = 30.0
    start_high: float = 60.0
    pull_share: float = 0.5
    minimum_bill: float = 60.0
    imports: float = 3.0
    grace: float = 110.0
    leave: float = 1.0


@dataclass(frozen=True)
class TraceSettings:
    """The shape of each trace; times in seconds."""

    task: float = 20.0
    burst_tasks: int = 5_000
    diurnal_length: float = 86_400.0
    diurnal_trough: float = 5.0
    """Threads busy on average at the quietest time."""
    diurnal_peak: float = 120.0
    trickle_length: float = 10_800.0
    trickle_every: float = 90.0
    trickle_task: float = 5.0
    sawtooth_length: float = 7_200.0
    sawtooth_every: float = 600.0
    sawtooth_tasks: int = 400
    heavy_length: float = 9_000.0
    heavy_sigma: float = 1.5
    """Of the logarithm; the mean is `task`."""
    heavy_load: float = 60.0
    """Threads busy on average."""
    storm_length: float = 3_600.0
    storm_load: float = 100.0
    storm_at: float = 1_800.0
    storm_share: float = 1 / 3
    storm_drought: float = 600.0


@dataclass(frozen=True)
class Settings:
    """All of it."""

    prices: Prices = Prices()
    cloud: Cloud = Cloud()
    traces: TraceSettings = TraceSettings()
    ours: dict[str, float] = field(default_factory=dict)
    """Settings of the autoscaler that differ from its defaults, by name."""

    def autoscaler(self) -> AutoscalerSettings:
        """The autoscaler's own settings: its defaults, minimum 0."""
        return AutoscalerSettings.model_validate(
            {
                "workers_min": 0,
                "workers_max": self.cloud.maximum,
                "worker_processes": 1,
                "worker_threads": self.cloud.threads,
                "ecs_cluster": "tidegate",
                "worker_task_definition": "tidegate-worker:1",
                "worker_subnets": "subnet-1",
                "worker_security_groups": "sg-1",
                **self.ours,
            }
        )
