"""The shared file system: EFS, which all workers have at `/files`. Off by default."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import ports
from infra.components.base import Component, Place
from infra.components.network import Network, allow
from infra.components.task import USER, Files


class SharedFiles(Component):
    """The file system.

    Attributes:
        mount: for a task that mounts it.
        ready: mount targets and rules, without which a task that mounts it does not start.
    """

    def __init__(self, place: Place, network: Network, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("files", place, opts)
        names = place.names
        group = aws.ec2.SecurityGroup(
            names.logical("files-sg"),
            description="Tidegate: shared files",
            vpc_id=network.vpc_id,
            opts=self.child(),
        )
        rules = allow(self, "worker-files", network.groups.worker, group, ports.FILES)
        system = aws.efs.FileSystem(
            names.logical("files"),
            encrypted=True,
            throughput_mode="elastic",
            opts=self.child(protect=place.settings.production),
        )
        uid, gid = (int(number) for number in USER.split(":"))
        point = aws.efs.AccessPoint(
            names.logical("files"),
            file_system_id=system.id,
            posix_user=aws.efs.AccessPointPosixUserArgs(uid=uid, gid=gid),
            root_directory=aws.efs.AccessPointRootDirectoryArgs(
                path="/tidegate",
                creation_info=aws.efs.AccessPointRootDirectoryCreationInfoArgs(
                    owner_uid=uid, owner_gid=gid, permissions="0750"
                ),
            ),
            opts=self.child(),
        )
        # Their number is known beforehand, their subnets are not.
        targets: list[pulumi.Resource] = [
            aws.efs.MountTarget(
                names.logical(f"files-{zone}"),
                file_system_id=system.id,
                subnet_id=network.private_subnet_ids[zone],
                security_groups=[group.id],
                opts=self.child(),
            )
            for zone in range(place.settings.availability_zones)
        ]
        self.ready = [*targets, *rules]
        self.mount = Files(system.id, system.arn, point.id, point.arn)
        self.register_outputs({"file_system": system.id})
