"""What the program asks of AWS and moto does not have: added to the test's own moto, all of it here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

FARGATE_VCPU = 500.0
"""Each of Fargate's quotas on vCPUs."""


def install() -> None:
    """Add it."""
    _cache()
    _scaling()
    _zones()
    _fargate()
    _agent()
    _quotas()
    _buckets()
    _tasks()


def _fargate() -> None:
    """Containers without cpu and memory of their own: on Fargate the task has them."""
    from moto.ecs import models

    Backend: Any = models.EC2ContainerServiceBackend  # noqa: N806

    def none(*_: Any) -> dict[str, Any]:
        return {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}

    Backend._calculate_task_resource_requirements = staticmethod(none)


def _agent() -> None:
    """What a task's agent reports. A task that has one ends when that says so, not with the call to stop it."""
    from moto.core.responses import ActionResult
    from moto.ecs import models, responses

    Backend: Any = models.EC2ContainerServiceBackend  # noqa: N806
    Response: Any = responses.EC2ContainerServiceResponse  # noqa: N806
    Task: Any = models.Task  # noqa: N806
    plain_init, plain_stop = Task.__init__, Backend.stop_task

    def init(self: Any, *given: Any, **named: Any) -> None:
        plain_init(self, *given, **named)
        self.created_at = now()

    def stop(self: Any, cluster: str, task: str, reason: str) -> Any:
        stopped = plain_stop(self, cluster, task, reason)
        stopped.stop_code = "UserInitiated"
        stopped.last_status = ending(stopped)
        return stopped

    def submit(self: Any) -> Any:
        (task,) = self.ecs_backend.describe_tasks(self._get_param("cluster"), [self._get_param("task")])
        status = task.last_status = self._get_param("status")
        if status == "RUNNING":
            task.has_agent = True
            task.pull_started_at = task.started_at = now()
        if status == "STOPPED":
            for container, told in zip(task.containers, self._get_param("containers"), strict=True):
                container.exit_code, container.last_status = told["exitCode"], "STOPPED"
            task.stopped_at = now()
            if task.desired_status != "STOPPED":
                task.desired_status, task.stop_code = "STOPPED", "EssentialContainerExited"
                task.stopped_reason = self._get_param("reason")
        return ActionResult({"acknowledgment": "ACCEPT"})

    Task.__init__ = init
    Backend.stop_task = stop
    Response.submit_task_state_change = submit


def now() -> datetime:
    """The time as ECS tells it."""
    return datetime.now(UTC)


def ending(task: Any) -> str:
    """Status of a task that was told to stop just now."""
    return "DEACTIVATING" if getattr(task, "has_agent", False) else "STOPPED"


def _quotas() -> None:
    """Quotas of Fargate."""
    from moto.servicequotas import models

    Backend: Any = models.ServiceQuotasBackend  # noqa: N806
    plain = Backend.get_service_quota

    def get(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        if service_code == "fargate":
            return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": FARGATE_VCPU}
        return dict(plain(self, service_code, quota_code))

    Backend.get_service_quota = get


def _buckets() -> None:
    """Policies of buckets that deny what comes in the clear: moto denies everything by them, whatever they ask for.

    Calls come in the clear here, and stand for those that come by TLS.
    """
    from moto.iam.access_control import PermissionResult
    from moto.s3 import models

    Bucket: Any = models.FakeBucket  # noqa: N806
    plain = Bucket.get_permission
    in_the_clear = {"Bool": {"aws:SecureTransport": "false"}}

    def permission(self: Any, action: str, resource: str) -> Any:
        statements = json.loads(self.policy)["Statement"] if self.policy else []
        if statements and all(each.get("Condition") == in_the_clear for each in statements):
            return PermissionResult.NEUTRAL
        return plain(self, action, resource)

    Bucket.get_permission = permission


def _tasks() -> None:
    """Tasks of one service alone, for who asks for them."""
    from moto.ecs import models

    Backend: Any = models.EC2ContainerServiceBackend  # noqa: N806
    plain = Backend.list_tasks

    def listed(
        self: Any, cluster: Any = None, instance: Any = None, family: Any = None, by: Any = None,
        service: str | None = None, status: Any = None,
    ) -> list[Any]:  # fmt: skip
        found = plain(self, cluster, instance, family, by, None, status)
        return [task for task in found if not service or task.group == f"service:{service}"]

    Backend.list_tasks = listed


def _zones() -> None:
    """Ids of hosted zones as Route 53 gives them."""
    from moto.route53 import models as route53

    models: Any = route53
    plain = models.create_route53_zone_id
    models.create_route53_zone_id = lambda *given, **named: "Z" + str(plain(*given, **named))[1:]


def _cache() -> None:
    """Cache parameter groups; the end and the change of subnet groups; replication groups that really end."""
    from moto.core.responses import ActionResult, EmptyResult
    from moto.elasticache import responses
    from moto.elasticache.exceptions import ElastiCacheException

    Response: Any = responses.ElastiCacheResponse  # noqa: N806

    kept: dict[int, dict[str, Any]] = {}

    def groups(response: Any) -> dict[str, Any]:
        return kept.setdefault(id(response.elasticache_backend), {})

    def group(response: Any) -> dict[str, Any]:
        name = response._get_param("CacheParameterGroupName")
        if name not in groups(response):
            raise ElastiCacheException("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found")
        return dict(groups(response)[name]) | {"parameters": groups(response)[name]["parameters"]}

    def shown(each: dict[str, Any]) -> dict[str, Any]:
        return {
            "CacheParameterGroupName": each["name"],
            "CacheParameterGroupFamily": each["family"],
            "Description": each["description"],
            "ARN": f"arn:aws:elasticache:us-east-1:123456789012:parametergroup:{each['name']}",
        }

    def create(self: Any) -> Any:
        name = self._get_param("CacheParameterGroupName")
        if name in groups(self):
            raise ElastiCacheException("CacheParameterGroupAlreadyExists", f"{name} already exists")
        made = groups(self)[name] = {
            "name": name,
            "family": self._get_param("CacheParameterGroupFamily"),
            "description": self._get_param("Description"),
            "parameters": {},
        }
        self.elasticache_backend.tagging_service.tag_resource(shown(made)["ARN"], self._get_param("Tags", []))
        return ActionResult({"CacheParameterGroup": shown(made)})

    def describe(self: Any) -> Any:
        if self._get_param("CacheParameterGroupName"):
            return ActionResult({"CacheParameterGroups": [shown(group(self))]})
        return ActionResult({"CacheParameterGroups": [shown(each) for each in groups(self).values()]})

    def parameters(self: Any) -> Any:
        found = group(self)["parameters"]
        return ActionResult(
            {"Parameters": [{"ParameterName": name, "ParameterValue": value} for name, value in found.items()]}
        )

    def given(self: Any) -> dict[str, str]:
        values = self._get_param("ParameterNameValues", [])
        return {each["ParameterName"]: each.get("ParameterValue", "") for each in values}

    def modify(self: Any) -> Any:
        group(self)["parameters"].update(given(self))
        return ActionResult({"CacheParameterGroupName": self._get_param("CacheParameterGroupName")})

    def reset(self: Any) -> Any:
        for name in given(self):
            group(self)["parameters"].pop(name, None)
        return ActionResult({"CacheParameterGroupName": self._get_param("CacheParameterGroupName")})

    def delete(self: Any) -> Any:
        del groups(self)[group(self)["name"]]
        return EmptyResult()

    plain_tags, plain_add, plain_remove = (
        Response.list_tags_for_resource, Response.add_tags_to_resource, Response.remove_tags_from_resource,
    )  # fmt: skip

    def ours(self: Any) -> str | None:
        arn = str(self._get_param("ResourceName"))
        return arn if ":parametergroup:" in arn else None

    def tags(self: Any) -> Any:
        arn = ours(self)
        if arn is None:
            return plain_tags(self)
        return ActionResult({"TagList": self.elasticache_backend.tagging_service.list_tags_for_resource(arn)["Tags"]})

    def add(self: Any) -> Any:
        arn = ours(self)
        if arn is None:
            return plain_add(self)
        self.elasticache_backend.tagging_service.tag_resource(arn, self._get_param("Tags", []))
        return EmptyResult()

    def remove(self: Any) -> Any:
        arn = ours(self)
        if arn is None:
            return plain_remove(self)
        self.elasticache_backend.tagging_service.untag_resource_using_names(arn, self._get_param("TagKeys", []))
        return EmptyResult()

    Response.list_tags_for_resource = tags
    Response.add_tags_to_resource = add
    Response.remove_tags_from_resource = remove
    Response.create_cache_parameter_group = create
    Response.describe_cache_parameter_groups = describe
    Response.describe_cache_parameters = parameters
    Response.modify_cache_parameter_group = modify
    Response.reset_cache_parameter_group = reset
    Response.delete_cache_parameter_group = delete

    def delete_subnets(self: Any) -> Any:
        name = self._get_param("CacheSubnetGroupName")
        self.elasticache_backend.describe_cache_subnet_groups(name)  # raises for one that is not there
        del self.elasticache_backend.cache_subnet_groups[name]
        return EmptyResult()

    def modify_subnets(self: Any) -> Any:
        name = self._get_param("CacheSubnetGroupName")
        (found,) = self.elasticache_backend.describe_cache_subnet_groups(name)
        found.cache_subnet_group_description = self._get_param("CacheSubnetGroupDescription")
        made = self.elasticache_backend.cache_subnet_groups.pop(name)
        self.elasticache_backend.create_cache_subnet_group(
            name, self._get_param("CacheSubnetGroupDescription"), self._get_param("SubnetIds", []), made.tags
        )
        return ActionResult({"CacheSubnetGroup": self.elasticache_backend.cache_subnet_groups[name]})

    Response.delete_cache_subnet_group = delete_subnets
    Response.modify_cache_subnet_group = modify_subnets

    plain = Response.delete_replication_group

    def end(self: Any) -> Any:
        name, final = self._get_param("ReplicationGroupId"), self._get_param("FinalSnapshotIdentifier")
        if final:
            self.elasticache_backend.create_snapshot(final, name, None, None, [])
        answer = plain(self)
        self.elasticache_backend.replication_groups.pop(name, None)
        return answer

    Response.delete_replication_group = end


def _scaling() -> None:
    """Tags of scaling targets."""
    from moto.applicationautoscaling import responses

    Response: Any = responses.ApplicationAutoScalingResponse  # noqa: N806

    tags: dict[str, dict[str, str]] = {}
    plain = Response.register_scalable_target

    def register(self: Any) -> str:
        answer = str(plain(self))
        given = self._get_param("Tags")
        if given:
            tags.setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(given)
        return answer

    def listed(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    def tag(self: Any) -> str:
        tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    def untag(self: Any) -> str:
        for key in self._get_param("TagKeys"):
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    Response.register_scalable_target = register
    Response.list_tags_for_resource = listed
    Response.tag_resource = tag
    Response.untag_resource = untag
