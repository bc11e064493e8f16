"""CloudWatch and its logs, SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.infra.engine.kind import Kind, Props, again, aws, one, pairs, pascal, settled, tags_of

# Log groups


def create_log_group(p: Props) -> str:
    aws("logs").create_log_group(logGroupName=p["name"], tags=p.get("tags") or {})
    change_log_group(p["name"], {}, p)
    return str(p["name"])


def change_log_group(id_: str, old: Props, new: Props) -> None:
    aws("logs").put_retention_policy(logGroupName=id_, retentionInDays=int(new["retentionInDays"]))
    if old.get("tags"):
        aws("logs").untag_log_group(logGroupName=id_, tags=list(old["tags"]))
    if new.get("tags"):
        aws("logs").tag_log_group(logGroupName=id_, tags=new["tags"])


def read_log_group(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = aws("logs").describe_log_groups(logGroupNamePrefix=id_)["logGroups"]
    group = one([each for each in found if each["logGroupName"] == id_])
    if group is None:
        return None
    return {
        "name": id_,
        "retentionInDays": group.get("retentionInDays"),
        "tags": aws("logs").list_tags_log_group(logGroupName=id_)["tags"],
        "arn": group["arn"].removesuffix(":*"),
    }


# Alarms and dashboards


def put_alarm(p: Props) -> str:
    told = pascal({key: value for key, value in p.items() if key not in ("tags", "name", "dimensions")})
    told["OKActions"] = told.pop("OkActions", [])
    dimensions = [{"Name": name, "Value": value} for name, value in (p.get("dimensions") or {}).items()]
    aws("cloudwatch").put_metric_alarm(AlarmName=p["name"], Dimensions=dimensions, Tags=pairs(p.get("tags")), **told)
    return str(p["name"])


def read_alarm(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(aws("cloudwatch").describe_alarms(AlarmNames=[id_])["MetricAlarms"])
    if found is None:
        return None
    names = [
        "alarmDescription",
        "comparisonOperator",
        "datapointsToAlarm",
        "evaluationPeriods",
        "metricName",
        "namespace",
        "period",
        "statistic",
        "threshold",
        "treatMissingData",
        "alarmActions",
    ]
    return {
        **{name: found.get(name[0].upper() + name[1:]) for name in names},
        "name": id_,
        "okActions": found.get("OKActions", []),
        "dimensions": {each["Name"]: each["Value"] for each in found.get("Dimensions", [])},
        "tags": tags_of(aws("cloudwatch").list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"]),
        "arn": found["AlarmArn"],
    }


def put_dashboard(p: Props) -> str:
    aws("cloudwatch").put_dashboard(DashboardName=p["dashboardName"], DashboardBody=p["dashboardBody"])
    return str(p["dashboardName"])


def read_dashboard(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = aws("cloudwatch").get_dashboard(DashboardName=id_)
    return {"dashboardName": id_, "dashboardBody": found["DashboardBody"], "dashboardArn": found["DashboardArn"]}


# SNS


def create_topic(p: Props) -> str:
    return str(aws("sns").create_topic(Name=p["name"], Tags=pairs(p.get("tags")))["TopicArn"])


def read_topic(id_: str, _: Props) -> Mapping[str, Any] | None:
    aws("sns").get_topic_attributes(TopicArn=id_)
    tags = aws("sns").list_tags_for_resource(ResourceArn=id_)["Tags"]
    return {"name": id_.rpartition(":")[2], "tags": tags_of(tags), "arn": id_}


def put_topic_policy(p: Props) -> str:
    aws("sns").set_topic_attributes(TopicArn=p["arn"], AttributeName="Policy", AttributeValue=p["policy"])
    return str(p["arn"])


def read_topic_policy(id_: str, _: Props) -> Mapping[str, Any] | None:
    return {"arn": id_, "policy": aws("sns").get_topic_attributes(TopicArn=id_)["Attributes"].get("Policy")}


def subscribe(p: Props) -> str:
    made = aws("sns").subscribe(
        TopicArn=p["topic"], Protocol=p["protocol"], Endpoint=p["endpoint"], ReturnSubscriptionArn=True
    )
    return str(made["SubscriptionArn"])


def read_subscription(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = aws("sns").get_subscription_attributes(SubscriptionArn=id_)["Attributes"]
    return {"topic": found["TopicArn"], "protocol": found["Protocol"], "endpoint": found["Endpoint"], "arn": id_}


def retag_topic(id_: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        aws("sns").untag_resource(ResourceArn=id_, TagKeys=list(old["tags"]))
    aws("sns").tag_resource(ResourceArn=id_, Tags=pairs(new.get("tags")))


KINDS = {
    "aws:cloudwatch/logGroup:LogGroup": Kind(
        create_log_group,
        read_log_group,
        change_log_group,
        lambda id_, _: aws("logs").delete_log_group(logGroupName=id_),
        name="name",
        longest=512,
        replaces=frozenset({"name"}),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Kind(
        put_alarm,
        read_alarm,
        again(put_alarm),
        lambda id_, _: aws("cloudwatch").delete_alarms(AlarmNames=[id_]),
        name="name",
        replaces=frozenset({"name"}),
    ),
    "aws:cloudwatch/dashboard:Dashboard": Kind(
        put_dashboard,
        read_dashboard,
        again(put_dashboard),
        lambda id_, _: aws("cloudwatch").delete_dashboards(DashboardNames=[id_]),
        name="dashboardName",
        replaces=frozenset({"dashboardName"}),
    ),
    "aws:sns/topic:Topic": Kind(
        create_topic,
        read_topic,
        retag_topic,
        lambda id_, _: aws("sns").delete_topic(TopicArn=id_),
        name="name",
        replaces=frozenset({"name"}),
    ),
    "aws:sns/topicPolicy:TopicPolicy": Kind(
        put_topic_policy, read_topic_policy, again(put_topic_policy), lambda id_, _: None, replaces=frozenset({"arn"})
    ),
    "aws:sns/topicSubscription:TopicSubscription": Kind(
        subscribe,
        read_subscription,
        settled,
        lambda id_, _: aws("sns").unsubscribe(SubscriptionArn=id_),
        replaces=frozenset({"topic", "protocol", "endpoint"}),
    ),
}
