"""What a stack costs, by its settings: per month without any work, and for hours of its workers.

`python -m infra.costs STACK` prints it; `docs/operations.md` has it for the stacks of this repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from infra import endpoints, prices, settings, stack_file
from infra.components import autoscaler
from infra.dashboard import Watched, alarms
from infra.settings import StackSettings
from services.api.emitted import EMITTED as API_METRICS
from services.autoscaler.emitted import EMITTED as AUTOSCALER_METRICS

IMAGES_GB: Final = 2
"""Assumed: what all images in the repositories take; deployments share most of their layers."""
LOGS_GB: Final = 1
"""Assumed: what services write in a month without work, metrics among it."""
SERVICES: Final = 3
"""Of ECS: API, scheduler, autoscaler; workers are a fourth family of tasks."""
SCALING_ALARMS: Final = 2 * 2
"""Application Auto Scaling makes two for each of the API's two policies."""
BATCH: Final = 1_000
"""Hours of workers that are reckoned."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a bill.

    Attributes:
        what: is paid for.
        count: how many.
        price: of one, for an hour or a month.
        hours: for which it is paid; None for a price of a month.
        note: how the price comes about, where it is not plainly in `infra/prices.py`.
    """

    what: str
    count: float
    price: float
    hours: float | None = None
    note: str = ""

    @property
    def total(self) -> float:
        """Dollars."""
        return self.count * self.price * (self.hours or 1)

    @property
    def reckoned(self) -> str:
        """How the total comes about."""
        hours = f" × {self.hours:,.0f} h" if self.hours else ""
        return f"{self.count:,.10g}{hours} × {_dollars(self.price)}{f' ({self.note})' if self.note else ''}"


def _dollars(price: float) -> str:
    """A price, with all its digits and at least cents."""
    return f"${price:.2f}" if round(price, 2) == price else f"${price:.10g}"


def idle(wanted: StackSettings) -> list[Item]:
    """A month in which nobody asks for anything: what is kept, and nothing that is measured by use.

    Raises:
        ConfigError: the price of the cache's nodes is not known.
    """
    return [*_tasks(wanted), *_network(wanted), *_data(wanted), *_watching(wanted)]


def work(wanted: StackSettings) -> list[Item]:
    """A thousand hours of workers, on Spot and on demand: one of the two, or a part of each."""
    hour, note = _fargate(wanted, wanted.worker_cpu, wanted.worker_memory, wanted.worker_storage or 0)
    return [
        Item("all on Spot", 1, hour * prices.SPOT_SHARE, BATCH, f"({note}) × {prices.SPOT_SHARE:.0%}"),
        Item("all on demand", 1, hour, BATCH, note),
    ]


def _fargate(wanted: StackSettings, cpu: int, memory: int, disk: int = 0) -> tuple[float, str]:
    price = prices.FARGATE[wanted.platform]
    note = f"{cpu / 1024:g} vCPU × {_dollars(price.vcpu)} + {memory / 1024:g} GB × {_dollars(price.gb)}"
    if disk > prices.DISK_FREE_GB:
        note += f" + {disk - prices.DISK_FREE_GB} GB of disk × {_dollars(prices.DISK_GB_HOUR)}"
    return prices.fargate_hour(wanted.platform, cpu, memory, disk or prices.DISK_FREE_GB), note


def _tasks(wanted: StackSettings) -> Iterator[Item]:
    for what, count, cpu, memory in (
        ("API tasks", wanted.api_min or 1, wanted.api_cpu, wanted.api_memory),
        ("scheduler", 1, wanted.scheduler_cpu, wanted.scheduler_memory),
        ("autoscaler", 1, autoscaler.CPU, autoscaler.MEMORY),
    ):
        hour, note = _fargate(wanted, cpu, memory)
        yield Item(what, count, hour, prices.HOURS, note)
    spot, on_demand = work(wanted)
    steady = wanted.workers_min if not wanted.use_spot else min(wanted.workers_min, wanted.on_demand_base)
    if steady:
        yield Item("workers kept on demand", steady, on_demand.price, prices.HOURS, on_demand.note)
    if wanted.workers_min > steady:
        yield Item("workers kept on Spot", wanted.workers_min - steady, spot.price, prices.HOURS, spot.note)


def _network(wanted: StackSettings) -> Iterator[Item]:
    zones = wanted.availability_zones
    gateways = {"none": 0, "single": 1, "per-zone": zones}[wanted.nat or "none"]
    if gateways:
        yield Item("NAT gateways", gateways, prices.NAT_HOUR, prices.HOURS)
    else:
        interfaces = endpoints.interfaces(quotas=wanted.service_quotas_endpoint)
        yield Item("interface endpoints", len(interfaces) * zones, prices.ENDPOINT_HOUR, prices.HOURS)
    addresses = gateways + (0 if wanted.internal else zones)
    if addresses:
        yield Item("public IPv4 addresses", addresses, prices.ADDRESS_HOUR, prices.HOURS)
    yield Item("load balancer", 1, prices.BALANCER_HOUR, prices.HOURS)
    yield Item("private DNS zone", 1, prices.ZONE_MONTH)
    yield Item("scheduler in Cloud Map", 1, prices.REGISTRATION_MONTH)


def _data(wanted: StackSettings) -> Iterator[Item]:
    node_type = wanted.cache_node_type or ""
    hour = prices.cache_hour(wanted.cache_engine, node_type)
    if hour is None:
        raise settings.ConfigError(
            f"{settings.NAMESPACE}:cacheNodeType is {node_type}, whose price infra/prices.py does not have: add it to "
            "REDIS_HOUR there"
        )
    valkey = f"{node_type}, {_dollars(prices.REDIS_HOUR[node_type])} × {prices.VALKEY_SHARE:.0%}"
    note = valkey if wanted.cache_engine == "valkey" else node_type
    yield Item("cache nodes", 1 + (wanted.cache_replicas or 0), hour, prices.HOURS, note)
    yield Item("secrets", 2 + 3 * wanted.dask_tls, prices.SECRET_MONTH)
    if wanted.api_image is None:
        yield Item("GB of images, assumed", IMAGES_GB, prices.IMAGE_GB_MONTH)


def _watching(wanted: StackSettings) -> Iterator[Item]:
    yield Item("metrics of its own", len(API_METRICS) + len(AUTOSCALER_METRICS), prices.METRIC_MONTH)
    if wanted.container_insights:
        each = prices.INSIGHTS
        count = each["cluster"] + SERVICES * each["service"] + (SERVICES + 1) * each["family"]
        yield Item("metrics of Container Insights", count, prices.METRIC_MONTH)
    yield Item("alarms", len(alarms(Watched("", "", "", "", "", "", ("",)))), prices.ALARM_MONTH)
    yield Item("alarms of the API's scaling", SCALING_ALARMS, prices.ALARM_MONTH)
    yield Item("dashboard", 1, prices.DASHBOARD_MONTH)
    yield Item("GB of logs, assumed", LOGS_GB, prices.LOG_GB)


def total(items: Sequence[Item]) -> float:
    """Dollars of all of them."""
    return sum(item.total for item in items)


def tables(wanted: StackSettings) -> str:
    """Both calculations, in Markdown."""
    month = idle(wanted)
    lines = ["| per month, without work | count × price | dollars |", "|---|---|--:|"]
    lines += [f"| {item.what} | {item.reckoned} | {item.total:,.2f} |" for item in month]
    lines += [f"| **in all** | | **{total(month):,.2f}** |", ""]
    lines += [f"| {BATCH:,} hours of workers | hours × price | dollars |", "|---|---|--:|"]
    lines += [f"| {item.what} | {item.reckoned.removeprefix('1 × ')} | {item.total:,.2f} |" for item in work(wanted)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print what a stack costs."""
    if len(arguments) != 1:
        print("usage: python -m infra.costs STACK", file=sys.stderr)
        return 2
    try:
        print(tables(settings.read(stack_file.values(stack_file.load(arguments[0])))), end="")
    except settings.ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
