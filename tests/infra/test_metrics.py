"""Dashboards and alarms: sound ones pass, and what CloudWatch would show or watch in vain is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.infra import metrics, programs
from tests.infra.wire import UNKNOWN

EMITTED = {"Tidegate": {"QueueAge": frozenset({frozenset({"Stack"})}), "Rounds": frozenset({frozenset({"Stack"})})}}
BALANCER = "app/front/0123456789abcdef"
TARGETS = "targetgroup/api/0123456789abcdef"
WIDGET: dict[str, Any] = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 12,
    "height": 6,
    "properties": {
        "title": "Errors",
        "region": "us-east-1",
        "period": 60,
        "stat": "Sum",
        "view": "timeSeries",
        "yAxis": {"left": {"min": 0}},
        "metrics": [
            [
                "AWS/ApplicationELB",
                "HTTPCode_Target_5XX_Count",
                "LoadBalancer",
                BALANCER,
                {"id": "errors", "visible": False},
            ],
            ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", BALANCER, "TargetGroup", TARGETS, {"id": "all"}],
            [{"expression": "100 * errors / MAX([all, 1])", "id": "share", "label": "errors (%)"}],
            [{"expression": "SEARCH('{Tidegate,Stack} MetricName=\"QueueAge\"', 'Maximum', 60)", "id": "ages"}],
            ["Tidegate", "QueueAge", "Stack", "tidegate-dev", {"stat": "p95", "yAxis": "right"}],
        ],
    },
}
ALARM: dict[str, Any] = {
    "name": "tidegate-dev-errors",
    "namespace": "AWS/ApplicationELB",
    "metricName": "HTTPCode_Target_5XX_Count",
    "dimensions": {"LoadBalancer": BALANCER, "TargetGroup": TARGETS},
    "statistic": "Sum",
    "period": 60.0,
    "evaluationPeriods": 5.0,
    "datapointsToAlarm": 3.0,
    "comparisonOperator": "GreaterThanThreshold",
    "threshold": 10.0,
    "treatMissingData": "notBreaching",
    "alarmActions": ["arn:aws:sns:us-east-1:123456789012:alarms"],
}


def _board(*widgets: Any) -> list[str]:
    return _body({"widgets": list(widgets)})


def _body(body: Any) -> list[str]:
    text = body if isinstance(body, str) or body is UNKNOWN else json.dumps(body)
    board = programs.bare(metrics.DASHBOARD, {"dashboardBody": text})
    return metrics.problems(programs.graph_of(board), EMITTED)


def _alarms(*inputs: dict[str, Any]) -> list[str]:
    alarms = [programs.bare(metrics.ALARM, each, name=f"alarm{n}") for n, each in enumerate(inputs)]
    return metrics.problems(programs.graph_of(*alarms), EMITTED)


def test_sound_ones_pass() -> None:
    text = {"type": "text", "x": 12, "y": 0, "width": 12, "height": 6, "properties": {"markdown": "# Tidegate"}}
    log = {"type": "log", "x": 0, "y": 6, "width": 24, "height": 6, "properties": {"query": "x", "region": "us-east-1"}}
    arn = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:x"
    alarm = {"type": "alarm", "x": 0, "y": 12, "width": 24, "height": 1, "properties": {"alarms": [arn]}}
    assert _board(WIDGET, text, log, alarm) == []
    assert _body(UNKNOWN) == []
    assert _alarms(ALARM, ALARM | {"name": "other"}, ALARM | {"name": UNKNOWN, "dimensions": UNKNOWN}) == []


def _row(*parts: Any) -> Callable[[dict[str, Any], dict[str, Any]], object]:
    return lambda w, p: p["metrics"].append(list(parts))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w, p: w.update(type="metrics"), "type is 'metrics'"),
        (lambda w, p: w.pop("properties"), "properties is missing"),
        (lambda w, p: w.update(tilte="x"), "tilte is nothing that a widget has"),
        (lambda w, p: w.update(x=-1), "x is -1, not 0 to 23"),
        (lambda w, p: w.update(x=24), "x is 24, not 0 to 23"),
        (lambda w, p: w.update(y=1.5), "y is 1.5"),
        (lambda w, p: w.pop("y"), "y is None"),
        (lambda w, p: w.update(width=25), "width is 25, not 1 to 24"),
        (lambda w, p: w.update(height=0), "height is 0, not 1 to 1000"),
        (lambda w, p: w.update(x=13), "x 13 and width 12 reach beyond"),
        (lambda w, p: p.pop("region"), "region is missing"),
        (lambda w, p: p.update(stats="Sum"), "stats is no property of a widget of type metric"),
        (lambda w, p: p.update(stat="Avg"), "stat is 'Avg'"),
        (lambda w, p: p.update(period=90), "period is 90"),
        (lambda w, p: p.update(view="line"), "view is 'line'"),
        (lambda w, p: p.update(yAxis="middle"), "yAxis is 'middle'"),
        (lambda w, p: p.update(metrics=[]), "metrics is []"),
        (
            _row("AWS/ApplicationELB", "RequestCount", "LoadBalancer", BALANCER, {"colour": "x"}),
            "colour is nothing that",
        ),
        (_row("AWS/ApplicationELB", "RequestCount", "LoadBalancer", BALANCER, {"stat": "p101"}), "stat is 'p101'"),
        (_row("...", BALANCER), "refers to the row before it"),
        (_row(".", "RequestCount", ".", "."), "refers to the row before it"),
        (_row("AWS/ApplicationELB"), "is no metric"),
        (_row("AWS/ApplicationELB", "RequestCount", "LoadBalancer"), "is no metric"),
        (_row("AWS/ApplicationELB", "RequestCount", "LoadBalancer", None), "is no metric"),
        (lambda w, p: p["metrics"].append("RequestCount"), "is no metric"),
        (_row("AWS/ELB", "RequestCount", "LoadBalancer", BALANCER), "namespace 'AWS/ELB' is none of"),
        (
            _row("AWS/ApplicationELB", "Requests", "LoadBalancer", BALANCER),
            "nobody writes AWS/ApplicationELB 'Requests'",
        ),
        (_row("Tidegate", "QueueAges", "Stack", "x"), "nobody writes Tidegate 'QueueAges'"),
        (_row("Tidegate", "QueueAge", "Service", "x"), "QueueAge has dimensions {Stack}, not {Service}"),
        (_row("Tidegate", "QueueAge", "Stack", ""), "Stack is ''"),
        (
            _row("AWS/ApplicationELB", "HealthyHostCount", "LoadBalancer", BALANCER),
            "has dimensions {AvailabilityZone, Load",
        ),
        (
            _row("AWS/ApplicationELB", "RequestCount", "LoadBalancer", f"arn:aws:x:{BALANCER}"),
            "LoadBalancer is 'arn:aws",
        ),
        (
            _row("AWS/ECS", "CPUUtilization", "ClusterName", "a", "ServiceName", "arn:aws:ecs:x"),
            "ServiceName is 'arn:aws",
        ),
        (_row("AWS/ElastiCache", "Evictions", "ReplicationGroupId", "x"), "not {ReplicationGroupId}"),
        (_row("AWS/ECS", "CPUUtilization", "ClusterName", "a", "ClusterName", "a"), "has a dimension twice"),
        (_row("Tidegate", "QueueAge", "Stack", "x", {"id": "errors"}), "id 'errors' is there more than once"),
        (_row("Tidegate", "QueueAge", "Stack", "x", {"id": "Age"}), "id 'Age' does not begin with a small letter"),
        (_row("Tidegate", {"expression": "errors"}), "is a metric and an expression"),
        (_row({"expression": "errors + nothing"}), "refers to 'nothing', which no metric has as id"),
        (
            _row({"expression": "SEARCH('{Tidegate,Stack} MetricName=\"Ages\"', 'Sum', 60)"}),
            "SEARCH finds no Tidegate Ages",
        ),
        (
            _row({"expression": "SEARCH('{Tidegate,Service} QueueAge', 'Sum', 60)"}),
            "SEARCH finds no Tidegate metric by",
        ),
        (_row({"expression": "SEARCH('QueueAge', 'Sum', 60)"}), "names no namespace and dimensions"),
    ],
)
def test_what_a_dashboard_would_not_show_is_found(change: Callable[[Any, Any], object], problem: str) -> None:
    widget = copy.deepcopy(WIDGET)
    change(widget, widget["properties"])
    found = _board(widget)
    assert any(f"{metrics.DASHBOARD} 'it': " in text and problem in text for text in found), found


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("{", "is no JSON"),
        ([], "has no widgets"),
        ({"widgets": []}, "has no widgets"),
        ({"widgets": [WIDGET], "title": "x"}, "dashboardBody.title does not exist"),
        ({"widgets": [WIDGET] * 501}, "501 widgets, of 500"),
        ({"widgets": [WIDGET, WIDGET | {"x": 11}]}, "overlap"),
        ({"widgets": [WIDGET, WIDGET | {"y": 5}]}, "overlap"),
        ({"widgets": [WIDGET | {"type": "text", "properties": {"text": "x"}}]}, "markdown is missing"),
        ({"widgets": [WIDGET | {"type": "log", "properties": {"query": "x"}}]}, "region is missing"),
        ({"widgets": [WIDGET | {"type": "alarm", "properties": {"alarms": ["x"]}}]}, "'x' is no ARN of an alarm"),
    ],
)
def test_bodies(body: Any, problem: str) -> None:
    found = _body(body)
    assert any(problem in text for text in found), found


def test_neighbours_do_not_overlap() -> None:
    assert _board(WIDGET, WIDGET | {"x": 12}, WIDGET | {"y": 6}) == []


QUERIES: list[dict[str, Any]] = [
    {"id": "e", "expression": "100 * m1 / m2", "returnData": True},
    {
        "id": "m1",
        "metric": {
            "namespace": "AWS/ECS",
            "metricName": "CPUUtilization",
            "dimensions": {"ClusterName": "c"},
            "stat": "Average",
            "period": 60.0,
        },
    },
    {
        "id": "m2",
        "metric": {
            "namespace": "Tidegate",
            "metricName": "Rounds",
            "dimensions": {"Stack": "s"},
            "stat": "p95",
            "period": 10.0,
        },
    },
]
COMPUTED = {
    key: ALARM[key] for key in ("name", "evaluationPeriods", "comparisonOperator", "threshold", "treatMissingData")
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"comparisonOperator": ">"}, "comparisonOperator is '>'"),
        ({"threshold": None}, "threshold is missing"),
        ({"treatMissingData": None}, "treatMissingData is None: say one of"),
        ({"treatMissingData": "notbreaching"}, "treatMissingData is 'notbreaching'"),
        ({"evaluationPeriods": None}, "evaluationPeriods is None"),
        ({"evaluationPeriods": 0.0}, "evaluationPeriods is 0.0"),
        ({"datapointsToAlarm": 6.0}, "datapointsToAlarm is 6, not 1 to 5"),
        ({"alarmActions": ["alarms"]}, "alarmActions has 'alarms', which is no ARN"),
        ({"okActions": [""]}, "okActions has ''"),
        ({"statistic": None}, "give statistic or extendedStatistic"),
        ({"extendedStatistic": "p95"}, "give statistic or extendedStatistic"),
        ({"statistic": "p95"}, "statistic is 'p95'"),
        ({"statistic": None, "extendedStatistic": "95"}, "extendedStatistic is '95'"),
        ({"period": None}, "period is None"),
        ({"period": 90.0}, "period is 90.0"),
        ({"period": 10.0}, "period is 10.0"),
        ({"period": 1800.0, "evaluationPeriods": 49.0}, "49 periods of 1800 s are more than a day"),
        ({"namespace": "AWS/ALB"}, "namespace 'AWS/ALB' is none of"),
        ({"metricName": "HTTPCode_Target_5XX"}, "nobody writes AWS/ApplicationELB 'HTTPCode_Target_5XX'"),
        ({"dimensions": {"TargetGroup": TARGETS}}, "not {TargetGroup}"),
        ({"dimensions": {"LoadBalancer": "front", "TargetGroup": TARGETS}}, "LoadBalancer is 'front'"),
        ({"namespace": "Tidegate", "metricName": "Silence", "dimensions": {"Stack": "s"}}, "nobody writes Tidegate"),
        ({"metricQueries": QUERIES}, "metricName and metricQueries exclude each other"),
    ],
)
def test_what_an_alarm_would_watch_in_vain_is_found(change: dict[str, Any], problem: str) -> None:
    found = _alarms(ALARM | change)
    assert any(f"{metrics.ALARM} 'alarm0': " in text and problem in text for text in found), found


@pytest.mark.parametrize(
    ("at", "change", "problem"),
    [
        (0, {"returnData": False}, "0 of metricQueries have returnData"),
        (1, {"returnData": True}, "2 of metricQueries have returnData"),
        (1, {"id": "m2"}, "id 'm2' is there more than once"),
        (1, {"metric": None}, "'m1' has not one of metric and expression"),
        (1, {"expression": "m2"}, "'m1' has not one of metric and expression"),
        (0, {"expression": "m3"}, "refers to 'm3'"),
        (1, {"metric": QUERIES[1]["metric"] | {"metricName": "Cpu"}}, "nobody writes AWS/ECS 'Cpu'"),
        (1, {"metric": QUERIES[1]["metric"] | {"stat": "Mean"}}, "stat is 'Mean'"),
        (1, {"metric": QUERIES[1]["metric"] | {"period": 10.0}}, "period is 10.0"),
    ],
)
def test_computed_alarms(at: int, change: dict[str, Any], problem: str) -> None:
    assert _alarms(COMPUTED | {"metricQueries": QUERIES}) == []
    queries = [query | change if number == at else query for number, query in enumerate(QUERIES)]
    found = _alarms(COMPUTED | {"metricQueries": queries})
    assert any(problem in text for text in found), found


def test_two_alarms_of_one_name_are_found() -> None:
    assert any("is that of" in text for text in _alarms(ALARM, ALARM))
