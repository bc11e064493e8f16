"""The workers' definition: what they may do with large results and shared files, and how long they may drain."""

from __future__ import annotations

from infra.components.task import USER
from tests.infra.components.stacks import (
    Stacks,
    allowed,
    containers,
    group_id,
    private_subnets,
    statements,
    task_definitions,
    variables,
)


def test_large_results_are_the_workers_to_write_and_the_apis_to_read(stack: Stacks) -> None:
    graph = stack("development")
    bucket = graph.one("aws:s3/bucket:Bucket")
    objects, whole = {f"{bucket.outputs['arn']}/*"}, {bucket.outputs["arn"]}
    wanted = {
        "worker": dict.fromkeys(("s3:DeleteObject", "s3:PutObject"), objects),
        "api": {"s3:GetObject": objects, "s3:ListBucket": whole},
    }
    for service, actions in wanted.items():
        may = allowed(graph, task_definitions(graph)[service].inputs["taskRoleArn"])
        assert may == actions
        assert variables(containers(graph)[service])["OBJECT_STORE"].startswith(f"s3://{bucket.outputs['bucket']}/")


def test_a_drain_has_all_the_time_that_fargate_gives(stack: Stacks) -> None:
    assert containers(stack("development"))["worker"]["stopTimeout"] == 120


def test_size_and_disk_are_as_they_are_set(stack: Stacks) -> None:
    large = task_definitions(stack("large workers"))["worker"].inputs
    assert (large["cpu"], large["memory"], large["ephemeralStorage"]) == ("16384", "122880", {"sizeInGib": 200})
    assert variables(containers(stack("large workers"))["worker"])["WORKER_PROCESSES"] == "16"
    assert "ephemeralStorage" not in task_definitions(stack("development"))["worker"].inputs


def test_shared_files_are_encrypted_and_reached_by_the_workers_role_through_their_access_point(stack: Stacks) -> None:
    graph = stack("shared files")
    system, point = graph.one("aws:efs/fileSystem:FileSystem"), graph.one("aws:efs/accessPoint:AccessPoint")
    assert system.inputs["encrypted"] is True
    definition = task_definitions(graph)["worker"]
    (volume,) = (each for each in definition.inputs["volumes"] if "efsVolumeConfiguration" in each)
    assert volume["efsVolumeConfiguration"] == {
        "fileSystemId": system.id,
        "transitEncryption": "ENABLED",
        "authorizationConfig": {"accessPointId": point.id, "iam": "ENABLED"},
    }
    mounts = {each["sourceVolume"]: each["containerPath"] for each in containers(graph)["worker"]["mountPoints"]}
    assert mounts[volume["name"]] == "/files"
    (statement,) = (
        each
        for each in statements(graph, definition.inputs["taskRoleArn"])
        if "elasticfilesystem:ClientWrite" in each["Action"]
    )
    assert "elasticfilesystem:ClientMount" in statement["Action"]
    assert statement["Resource"] == [system.outputs["arn"]]
    condition = {"elasticfilesystem:AccessPointArn": point.outputs["arn"]}
    assert statement["Condition"] == {"StringEquals": condition}


def test_shared_files_can_be_mounted_in_every_zone_by_the_images_user(stack: Stacks) -> None:
    graph = stack("shared files")
    targets = [each.inputs for each in graph.of("MountTarget")]
    assert [each["subnetId"] for each in targets] == private_subnets(graph)
    assert all(each["securityGroups"] == [group_id(graph, "files")] for each in targets)
    point = graph.one("aws:efs/accessPoint:AccessPoint").inputs
    assert f"{point['posixUser']['uid']:g}:{point['posixUser']['gid']:g}" == USER
    created = point["rootDirectory"]["creationInfo"]
    assert f"{created['ownerUid']:g}:{created['ownerGid']:g}" == USER
