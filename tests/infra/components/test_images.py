"""Images: a tag means one content for ever, and tasks run what was built or given."""

from __future__ import annotations

import json

from tests.infra.components.stacks import Stacks, containers
from tests.infra.program import IMAGES

IMAGE_OF = {"api": "api", "autoscaler": "autoscaler", "scheduler": "worker", "worker": "worker"}


def test_a_tag_is_never_another_image(stack: Stacks) -> None:
    repositories = stack("development").of("aws:ecr/repository:Repository")
    assert len(repositories) == 3
    for repository in repositories:
        assert repository.inputs.get("imageTagMutability") == "IMMUTABLE"
        assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}


def test_old_images_go_and_those_of_rollbacks_stay(stack: Stacks) -> None:
    graph = stack("development")
    policies = {each.inputs["repository"]: json.loads(each.inputs["policy"]) for each in graph.of("LifecyclePolicy")}
    assert policies.keys() == {each.inputs["name"] for each in graph.of("aws:ecr/repository:Repository")}
    for policy in policies.values():
        selections = [rule["selection"] for rule in policy["rules"]]
        assert [(each["tagStatus"], each["countNumber"]) for each in selections] == [("untagged", 1), ("any", 50)]


def test_tasks_run_what_was_built(stack: Stacks) -> None:
    graph = stack("development")
    for service, container in containers(graph).items():
        image = graph.one("awsx:ecr:Image", f"tidegate-dev-{IMAGE_OF[service]}-image")
        assert container["image"] == image.outputs["imageUri"]
        assert image.inputs["dockerfile"].endswith(f"services/{IMAGE_OF[service]}/Dockerfile")
        repository = graph.one("aws:ecr/repository:Repository", f"tidegate-dev-{IMAGE_OF[service]}-images")
        assert image.inputs["repositoryUrl"] == repository.outputs["repositoryUrl"]


def test_tasks_run_what_was_given(stack: Stacks) -> None:
    for service, container in containers(stack("given images")).items():
        assert container["image"] == IMAGES[f"{IMAGE_OF[service]}Image"]
