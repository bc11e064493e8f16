"""What the monitoring profile of the compose file shows is what the services measure."""

from __future__ import annotations

import json
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.api.metrics import Metrics as ApiMetrics
from services.autoscaler.metrics import Metrics as FleetMetrics

MONITORING = Path(__file__).parents[2] / "services" / "monitoring"


def served(registry: CollectorRegistry) -> set[str]:
    """Names as Prometheus stores them."""
    names = set()
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def test_every_metric_of_the_dashboard_is_served() -> None:
    board = json.loads((MONITORING / "grafana" / "tidegate.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    shown = {name for expression in expressions for name in re.findall(r"\btidegate_\w+", expression)}
    assert len(shown) >= 10
    assert shown <= served(ApiMetrics().registry) | served(FleetMetrics().registry)
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"prometheus"}
    assert "uid: prometheus" in (MONITORING / "datasource.yml").read_text()
