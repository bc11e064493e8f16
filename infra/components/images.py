"""The three images: built from this repository and kept in ECR, or given as URIs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pulumi
import pulumi_aws as aws
import pulumi_awsx as awsx

from infra import context
from infra.components.base import Component, Place

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = 50
"""Images of each service that stay: as many deployments can be rolled back."""


class Images(Component):
    """Images of the services.

    Attributes:
        api: URI of the API's.
        autoscaler: URI of the autoscaler's.
        worker: URI of the image of workers and scheduler.
    """

    def __init__(self, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("images", place, opts)
        self.api = self._image("api")
        self.autoscaler = self._image("autoscaler")
        self.worker = self._image("worker")
        self.register_outputs({"api": self.api, "autoscaler": self.autoscaler, "worker": self.worker})

    def _image(self, service: str) -> pulumi.Output[str]:
        given: str | None = getattr(self.place.settings, f"{service}_image")
        return pulumi.Output.from_input(given) if given else self._built(service, self._repository(service))

    def _repository(self, service: str) -> aws.ecr.Repository:
        place = self.place
        repository = aws.ecr.Repository(
            place.names.logical(f"{service}-images"),
            name=f"{place.names.repository}/{service}",
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="AES256")],
            force_delete=not place.settings.production,
            opts=self.child(delete_first=True),
        )
        aws.ecr.LifecyclePolicy(
            place.names.logical(f"{service}-images-kept"),
            repository=repository.name,
            policy=json.dumps({"rules": [_rule(1, "untagged", 1, days=True), _rule(2, "any", KEPT)]}),
            opts=self.child(),
        )
        return repository

    def _built(self, service: str, repository: aws.ecr.Repository) -> pulumi.Output[str]:
        settings = self.place.settings
        dockerfile = f"services/{service}/Dockerfile"
        authors = settings.computations if service != "autoscaler" else None
        arguments = {"COMPUTATIONS": authors} if authors else {}
        image = awsx.ecr.Image(
            self.place.names.logical(f"{service}-image"),
            repository_url=repository.repository_url,
            # Relative, so that the state says the same on every machine.
            context=os.path.relpath(ROOT),
            dockerfile=os.path.relpath(ROOT / dockerfile),
            args=arguments,
            platform=settings.platform,
            # awsx's own tag is a digest of names: with immutable tags a second push of other content would be refused.
            image_tag=context.tag(ROOT, dockerfile, {**arguments, "platform": settings.platform}),
            opts=self.child(),
        )
        return image.image_uri


def _rule(priority: int, status: str, count: int, *, days: bool = False) -> dict[str, object]:
    """A rule of a lifecycle policy: of images so tagged, expire those older than so many days, or beyond so many."""
    selection: dict[str, object] = {
        "tagStatus": status,
        "countType": "sinceImagePushed" if days else "imageCountMoreThan",
        "countNumber": count,
    }
    if days:
        selection["countUnit"] = "days"
    return {"rulePriority": priority, "selection": selection, "action": {"type": "expire"}}
