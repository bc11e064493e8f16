"""The tests of the components notice what is wrong: each gets a recorded stack in which one thing is, and must fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest

from services.autoscaler.errors import LaunchRefused
from tests.infra.components import (
    test_api,
    test_autoscaler,
    test_cache,
    test_certificates,
    test_cluster,
    test_discovery,
    test_images,
    test_network,
    test_observability,
    test_orders,
    test_results,
    test_scheduler,
    test_task,
    test_worker,
)
from tests.infra.components.mutation import (
    Break,
    container,
    differs,
    each,
    forbid,
    gone,
    inputs,
    named,
    set_,
    unordered,
    variable,
    without,
)
from tests.infra.components.stacks import TASK_DEFINITION, Stacks
from tests.infra.graph import Graph, Recorded
from tests.infra.program import graph_of


@dataclass(frozen=True)
class Mutant:
    """One thing that is wrong.

    Attributes:
        what: is wrong.
        test: that must notice.
        made: the wrong graph of a sound one; resources that a combination does not have are left alone.
    """

    what: str
    test: Callable[[Stacks], None]
    made: Break


def public_subnets(graph: Graph) -> str:
    return ",".join(graph.one("awsx:ec2:Vpc").outputs["publicSubnetIds"])


def unvalidated(one: Recorded) -> Recorded:
    """A listener whose certificate is taken as it was asked for."""
    return replace(one, property_dependencies={**one.property_dependencies, "certificateArn": frozenset()})


PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVICE = "aws:ecs/service:Service"
LISTENER = "aws:lb/listener:Listener"
NAME = "aws:servicediscovery/service:Service"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
WRONG_SPECIFICATION = {"predefinedMetricType": "ALBRequestCountPerTargets"}
EFS, OFF = "efsVolumeConfiguration", "DISABLED"

MUTANTS = [
    Mutant(
        "anything may be evicted",
        test_cache.test_only_what_has_a_ttl_is_evicted,
        inputs(PARAMETERS, None, lambda known: known["parameters"][0].update(value="allkeys-lru")),
    ),
    Mutant(
        "the cache lets everybody in",
        test_cache.test_the_token_is_asked_for_over_tls_and_is_the_one_that_services_get,
        without(CACHE, "authToken"),
    ),
    Mutant(
        "AWS upgrades a pinned version",
        test_cache.test_aws_does_not_change_the_version_under_the_programs_hands,
        set_(CACHE, autoMinorVersionUpgrade=True),
    ),
    Mutant(
        "every group leaves the same snapshot",
        test_cache.test_the_last_snapshot_has_a_name_of_this_groups_own,
        set_(CACHE, finalSnapshotIdentifier="tidegate-dev-final"),
    ),
    Mutant("no DNS hostnames", test_network.test_names_resolve, set_("awsx:ec2:Vpc", enableDnsHostnames=False)),
    Mutant(
        "endpoints have names of their own only",
        test_network.test_endpoints_answer_under_the_services_own_names_where_tasks_are,
        set_("VpcEndpoint", privateDnsEnabled=False),
    ),
    Mutant(
        "an old scheduler is asked for five minutes",
        test_discovery.test_a_replaced_scheduler_is_found_within_seconds,
        inputs(NAME, None, lambda known: known["dnsConfig"]["dnsRecords"][0].update(ttl=300)),
    ),
    Mutant(
        "the scheduler registers nowhere",
        test_discovery.test_the_name_that_services_are_told_is_the_schedulers_own,
        without(SERVICE, "serviceRegistries", "scheduler"),
    ),
    Mutant(
        "ECS makes the log group of insights itself",
        test_orders.test_the_log_group_of_insights_is_there_before_ecs_would_make_it,
        unordered("aws:ecs/cluster:Cluster"),
    ),
    Mutant(
        "the cluster has no Spot",
        test_cluster.test_it_has_every_capacity_that_the_fleet_asks_for,
        set_("ClusterCapacityProviders", capacityProviders=["FARGATE"]),
    ),
    Mutant(
        "another fleet is stopped",
        test_autoscaler.test_the_end_of_the_fleet_means_the_autoscalers_own,
        set_("FleetStop", fleet_name="tidegate-devx"),
    ),
    Mutant(
        "a large fleet has no time to go",
        test_autoscaler.test_the_end_of_the_fleet_has_time_for_all_workers,
        set_("FleetStop", timeout=300.0),
    ),
    Mutant(
        "images cannot be pulled",
        test_task.test_ecs_may_pull_each_image_from_where_it_is_and_nothing_else,
        forbid("worker-execution", *PULL),
    ),
    Mutant(
        "secrets cannot be read",
        test_task.test_ecs_may_fetch_each_secret_that_a_container_gets_and_no_other,
        forbid("api-execution", "secretsmanager:GetSecretValue"),
    ),
    Mutant(
        "logs cannot be written",
        test_task.test_ecs_may_write_each_containers_logs,
        forbid("scheduler-execution", "logs:PutLogEvents"),
    ),
    Mutant(
        "workers cannot store results",
        test_worker.test_large_results_are_the_workers_to_write_and_the_apis_to_read,
        forbid("worker-task", "s3:PutObject"),
    ),
    Mutant(
        "the API can write results",
        test_worker.test_large_results_are_the_workers_to_write_and_the_apis_to_read,
        inputs(
            "aws:iam/rolePolicy:RolePolicy",
            "api-task",
            lambda known: known.update(
                policy=known["policy"].replace('"s3:GetObject"', '"s3:GetObject", "s3:PutObject"')
            ),
        ),
    ),
    Mutant(
        "workers can read results",
        test_worker.test_large_results_are_the_workers_to_write_and_the_apis_to_read,
        inputs(
            "aws:iam/rolePolicy:RolePolicy",
            "worker-task",
            lambda known: known.update(
                policy=known["policy"].replace('"s3:PutObject"', '"s3:GetObject", "s3:PutObject"')
            ),
        ),
    ),
    Mutant(
        "a root that can be written to",
        test_task.test_the_root_is_read_only_and_all_that_is_written_to_is_mounted,
        container("api", lambda known: known.update(readonlyRootFilesystem=False)),
    ),
    Mutant(
        "ECS Exec without its volumes",
        test_task.test_who_may_be_entered_by_exec_has_its_agents_paths_and_permissions,
        container(
            "scheduler",
            lambda known: known.update(
                mountPoints=[one for one in known["mountPoints"] if not one["sourceVolume"].startswith("exec")]
            ),
        ),
    ),
    Mutant(
        "ECS Exec without its permissions",
        test_task.test_who_may_be_entered_by_exec_has_its_agents_paths_and_permissions,
        forbid("scheduler-task", "ssmmessages:OpenDataChannel"),
    ),
    Mutant(
        "the scheduler cannot be entered",
        test_scheduler.test_operators_reach_its_dashboard,
        without(SERVICE, "enableExecuteCommand", "scheduler"),
    ),
    Mutant(
        "any role mounts the shared files",
        test_worker.test_shared_files_are_encrypted_and_reached_by_the_workers_role_through_their_access_point,
        inputs(
            TASK_DEFINITION,
            "worker",
            lambda known: [
                one[EFS]["authorizationConfig"].update(iam="DISABLED") for one in known["volumes"] if EFS in one
            ],
        ),
    ),
    Mutant(
        "nobody sees whether the API lives",
        test_task.test_health_is_asked_of_the_service_itself,
        container("api", lambda known: known.pop("healthCheck")),
    ),
    Mutant(
        "the autoscaler is asked for the API's health",
        test_task.test_health_is_asked_of_the_service_itself,
        container("autoscaler", lambda known: known["healthCheck"]["command"].__setitem__(-1, "api")),
    ),
    *(
        Mutant(
            f"revisions of {service} are deregistered",
            test_task.test_old_revisions_stay_for_a_rollback,
            set_(TASK_DEFINITION, service, skipDestroy=False),
        )
        for service in ("api", "autoscaler", "scheduler", "worker")
    ),
    *(
        Mutant(
            f"a deployment of {service} fails for ever",
            test_autoscaler.test_a_deployment_that_fails_is_rolled_back,
            set_(SERVICE, service, deploymentCircuitBreaker={"enable": False, "rollback": False}),
        )
        for service in ("api", "autoscaler")
    ),
    Mutant(
        "two schedulers at once",
        test_scheduler.test_there_is_one_on_demand_and_never_two,
        set_(SERVICE, "scheduler", deploymentMaximumPercent=200),
    ),
    Mutant(
        "workers face the world",
        test_autoscaler.test_workers_are_started_in_private_subnets_under_their_own_group,
        variable("autoscaler", "WORKER_SUBNETS", public_subnets),
    ),
    Mutant(
        "metrics stay in the process",
        test_autoscaler.test_metrics_are_written_as_log_lines_under_the_name_that_alarms_look_for,
        variable("autoscaler", "METRICS_EMF", "false"),
    ),
    Mutant(
        "the worker's definition has a tag of another value than its tasks",
        test_autoscaler.test_workers_get_the_definitions_tags_and_are_known_as_the_fleets,
        inputs(TASK_DEFINITION, "worker", lambda known: known["tags"].update({"tidegate:component": "worker-task"})),
    ),
    Mutant(
        "a failover of Redis kills the API",
        test_api.test_a_failover_of_redis_kills_no_task,
        inputs("TargetGroup", None, lambda known: known["healthCheck"].update(path="/readyz")),
    ),
    Mutant(
        "HTTP goes on beside HTTPS",
        test_api.test_with_a_domain_http_leads_to_https_and_nowhere_else,
        lambda graph: set_(LISTENER, "http", defaultActions=test_api.forward(graph))(graph),
    ),
    Mutant(
        "HTTPS with a certificate that is not validated",
        test_api.test_https_waits_until_its_certificate_is_validated,
        each(named(LISTENER, "https"), unvalidated),
    ),
    Mutant(
        "the API is scaled by nothing that exists",
        test_api.test_it_is_scaled_by_its_load,
        set_("aws:appautoscaling/target:Target", scalableDimension="ecs:service:Desired"),
    ),
    Mutant(
        "requests are counted by no metric",
        test_api.test_it_is_scaled_by_its_load,
        inputs(
            "aws:appautoscaling/policy:Policy",
            "api-by-requests",
            lambda known: known["targetTrackingScalingPolicyConfiguration"].update(
                predefinedMetricSpecification=WRONG_SPECIFICATION
            ),
        ),
    ),
    Mutant(
        "results stay for ever",
        test_results.test_results_expire_where_services_write_them,
        inputs("BucketLifecycleConfiguration", None, lambda known: known["rules"][0].update(status="Disabled")),
    ),
    Mutant(
        "other objects than results expire",
        test_results.test_results_expire_where_services_write_them,
        inputs("BucketLifecycleConfiguration", None, lambda known: known["rules"][0].update(filter={"prefix": "x/"})),
    ),
    *(
        Mutant(
            f"{key} is off",
            test_results.test_nobody_can_make_it_public,
            set_("BucketPublicAccessBlock", **{key: False}),
        )
        for key in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    Mutant(
        "tags of images move",
        test_images.test_a_tag_is_never_another_image,
        set_("aws:ecr/repository:Repository", "api-images", imageTagMutability="MUTABLE"),
    ),
    Mutant(
        "the CA is none",
        test_certificates.test_the_ca_is_one_and_has_signed_the_members_certificate,
        set_("SelfSignedCert", isCaCertificate=False),
    ),
    Mutant(
        "a silent autoscaler is well",
        test_observability.test_silence_is_alarming_where_something_must_always_be_heard,
        set_("MetricAlarm", "autoscaler-silent", treatMissingData="notBreaching"),
    ),
    Mutant(
        "capacity providers go before the fleet is stopped",
        test_orders.test_the_fleet_is_stopped_while_there_is_all_that_a_worker_needs_to_drain,
        unordered("FleetStop", before=("ClusterCapacityProviders", "ecs/service:Service")),
    ),
    Mutant(
        "rules go while the fleet drains",
        test_orders.test_the_fleet_is_stopped_while_there_is_all_that_a_worker_needs_to_drain,
        unordered("FleetStop", before=("EgressRule",)),
    ),
    Mutant(
        "the autoscaler starts workers while the fleet is stopped",
        test_orders.test_the_fleet_is_stopped_when_nobody_starts_workers_any_more,
        unordered(SERVICE, "autoscaler", before=("FleetStop",)),
    ),
    Mutant(
        "rules go before the API",
        test_orders.test_rules_are_there_as_long_as_the_tasks_that_need_them,
        unordered(SERVICE, "api", before=("IngressRule",)),
    ),
    Mutant(
        "nobody gets into the shared files",
        test_orders.test_rules_of_shared_files_are_there_before_who_mounts_them,
        gone("SecurityGroupIngressRule", "worker-files-in"),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_what_is_wrong_is_noticed(mutant: Mutant) -> None:
    changed: list[str] = []

    def stack(name: str) -> Graph:
        sound = graph_of(name)
        wrong = mutant.made(sound)
        changed.extend([name] if differs(sound, wrong) else [])
        return wrong

    mutant.test(graph_of)
    with pytest.raises((AssertionError, LaunchRefused)):
        mutant.test(stack)
    assert changed, "the mutation fits nothing that is there any more"


def test_a_sound_graph_is_no_mutant() -> None:
    untouched: Mapping[str, Break] = {
        "no such resource": set_("NoSuchKind", a=1),
        "no such name": set_(CACHE, "nobody", a=1),
    }
    for break_ in untouched.values():
        assert not differs(graph_of("development"), break_(graph_of("development")))
