"""Stacks for development and production, from nothing and back to nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.autoscaler.fleet.ecs import open_ecs_fleet
from services.autoscaler.model import Capacity, Launch
from services.autoscaler.settings import EcsSettings
from tests.infra.engine.conftest import settings
from tests.infra.engine.harness import Cloud, Stack, cloud
from tests.infra.engine.inventory import Inventory, inventory, more
from tests.infra.program import DEVELOPMENT, PRODUCTION


@dataclass
class Life:
    """A stack and what its cloud held before it.

    Attributes:
        stack: of the tier.
        before: what was there.
    """

    stack: Stack
    before: Inventory


def zone(aws: Cloud) -> str:
    """A public zone for the stack's domain, which is there before it."""
    made = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="x")
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


@pytest.fixture(scope="module", params=["development", "production"])
def life(request: pytest.FixtureRequest, pulumi: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A stack that is not up yet, in a cloud of its own."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    with cloud(directory) as aws:
        values = dict(DEVELOPMENT if request.param == "development" else PRODUCTION)
        if "hostedZone" in values:
            values["hostedZone"] = zone(aws)
        name = "dev" if request.param == "development" else "prod"
        yield Life(Stack.make(directory / "stack", name, aws, settings(values)), inventory(aws))


def test_1_preview_makes_nothing(life: Life) -> None:
    steps = life.stack.preview()
    assert set(steps.values()) == {"create"}
    assert len(steps) > 140
    assert inventory(life.stack.cloud) == life.before


def test_2_up_makes_everything_and_says_where_it_is(life: Life) -> None:
    life.stack.up()
    told = life.stack.outputs()
    assert told["api_url"].startswith("http")
    assert told["scheduler_address"].startswith(("tcp://", "tls://"))


def test_3_a_second_up_has_nothing_to_do(life: Life) -> None:
    assert life.stack.preview() == {}
    answer = life.stack("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", life.stack.name)
    assert "unchanged" in answer.output


def test_4_refresh_finds_no_drift(life: Life) -> None:
    life.stack.refresh("--expect-no-changes")


def test_5_no_secret_is_in_the_clear(life: Life) -> None:
    values = set(secrets(life.stack.export("--show-secrets")["deployment"]["resources"]))
    values = {value for value in values if not value.startswith("-----BEGIN CERTIFICATE")}  # public, beside their keys
    assert len(values) >= (2 if life.stack.name == "dev" else 4)
    state = json.dumps(life.stack.export())
    preview = life.stack("preview", "--diff", "--stack", life.stack.name).output
    ecs = life.stack.cloud.client("ecs")
    arns = ecs.list_task_definitions()["taskDefinitionArns"]
    definitions = json.dumps([ecs.describe_task_definition(taskDefinition=arn) for arn in arns], default=str)
    for place, text in {"state": state, "preview": preview, "task definitions": definitions}.items():
        for value in values:
            assert value not in text, f"a secret is in the clear in the {place}"
            assert json.dumps(value)[1:-1] not in text, f"a secret is in the clear in the {place}"


def secrets(value: Any) -> Iterator[str]:
    """Texts of all secrets in a state that shows them."""
    if isinstance(value, list):
        for item in value:
            yield from secrets(item)
    elif isinstance(value, dict) and "plaintext" in value:
        hidden = json.loads(value["plaintext"])
        yield from [hidden] if isinstance(hidden, str) else []
    elif isinstance(value, dict):
        for inner in value.values():
            yield from secrets(inner)


def start_workers(stack: Stack, count: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the autoscaler's own fleet start workers, as its task's environment says."""
    ecs = stack.cloud.client("ecs")
    family = f"tidegate-{stack.name}-autoscaler"
    (newest, *_rest) = ecs.list_task_definitions(familyPrefix=family, sort="DESC")["taskDefinitionArns"]
    (container,) = ecs.describe_task_definition(taskDefinition=newest)["taskDefinition"]["containerDefinitions"]
    told = {each["name"]: each["value"] for each in container["environment"]}
    for name, value in {**told, **stack.cloud.environment}.items():
        monkeypatch.setenv(name, value)
    fleet = open_ecs_fleet(EcsSettings())
    try:
        launched = fleet.launch(Launch("a" * 32, count, Capacity.ON_DEMAND, fleet.revision, time.time()))
    finally:
        fleet.close()
    return list(launched.ids)


def test_6_destroy_stops_the_fleet_and_leaves_nothing(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, aws = life.stack, life.stack.cloud
    workers = start_workers(stack, 3, monkeypatch)
    assert len(workers) == 3
    production = stack.name == "prod"
    if production:  # which is meant: see docs/operations.md
        refused = stack.run("destroy", "--yes", "--skip-preview", "--stack", stack.name)
        assert refused.status != 0
        assert "deletion protection" in refused.output, refused.output[-3000:]
        balancers = aws.client("elbv2")
        for each in balancers.describe_load_balancers()["LoadBalancers"]:
            off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
            balancers.modify_load_balancer_attributes(LoadBalancerArn=each["LoadBalancerArn"], Attributes=off)
        images = aws.client("ecr")
        for each in images.describe_repositories()["repositories"]:
            ids = images.list_images(repositoryName=each["repositoryName"])["imageIds"]
            images.batch_delete_image(repositoryName=each["repositoryName"], imageIds=ids)
    stack.destroy()
    assert stack.export()["deployment"].get("resources", [])[1:] == []
    left = more(inventory(aws), life.before)
    # Revisions of task definitions stay, so that a rollback finds them; they cost nothing.
    kept = left.pop("ecs:list_task_definitions", [])
    assert kept
    assert all(f"/tidegate-{stack.name}-" in arn for arn in kept)
    final = left.pop("elasticache:describe_snapshots", [])
    assert len(final) == production
    assert left == {}
    assert more(life.before, inventory(aws)) == {}
