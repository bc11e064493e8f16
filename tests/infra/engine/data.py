"""S3, ElastiCache, EFS and Secrets Manager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.infra.engine.kind import Kind, Props, Refused, again, aws, camel, one, pairs, pascal, settled, tags_of, whole


def s3() -> Any:
    return aws("s3")


def cache() -> Any:
    return aws("elasticache")


# S3


def create_bucket(p: Props) -> str:
    s3().create_bucket(Bucket=p["bucket"])
    change_bucket(p["bucket"], {}, p)
    return str(p["bucket"])


def change_bucket(id_: str, old: Props, new: Props) -> None:
    s3().put_bucket_tagging(Bucket=id_, Tagging={"TagSet": pairs(new.get("tags"))})


def read_bucket(id_: str, _: Props) -> Mapping[str, Any] | None:
    s3().head_bucket(Bucket=id_)
    try:
        tags = s3().get_bucket_tagging(Bucket=id_)["TagSet"]
    except ClientError:
        tags = []
    return {
        "bucket": id_,
        "tags": tags_of(tags),
        "arn": f"arn:aws:s3:::{id_}",
        "bucketRegionalDomainName": f"{id_}.s3.us-east-1.amazonaws.com",
    }


def delete_bucket(id_: str, known: Props) -> None:
    if known.get("forceDestroy"):
        found = s3().list_objects_v2(Bucket=id_).get("Contents", [])
        for each in found:
            s3().delete_object(Bucket=id_, Key=each["Key"])
    s3().delete_bucket(Bucket=id_)


def part_of_bucket(put: Any, get: Any, delete: Any) -> Kind:
    """What is set on a bucket, under its name."""

    def create(p: Props) -> str:
        put(p)
        return str(p["bucket"])

    return Kind(
        create,
        lambda id_, known: {"bucket": id_, **get(id_)},
        again(put),
        lambda id_, _: delete(Bucket=id_),
        replaces=frozenset({"bucket"}),
    )


LIFE = {"id": "ID"}


def put_lifecycle(p: Props) -> None:
    rules = []
    for each in p["rules"]:
        rule = pascal(each)
        rule["ID"] = rule.pop("Id")
        if "Expiration" in rule:
            rule["Expiration"] = {"Days": rule["Expiration"]["Days"]}
        rules.append(rule)
    s3().put_bucket_lifecycle_configuration(Bucket=p["bucket"], LifecycleConfiguration={"Rules": rules})


def get_lifecycle(bucket: str) -> Mapping[str, Any]:
    rules = s3().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {"rules": [{**camel(rule), "id": rule["ID"]} for rule in rules]}


def put_policy(p: Props) -> None:
    s3().put_bucket_policy(Bucket=p["bucket"], Policy=p["policy"])


BLOCKS = ("blockPublicAcls", "ignorePublicAcls", "blockPublicPolicy", "restrictPublicBuckets")


def put_block(p: Props) -> None:
    told = pascal({key: p[key] for key in BLOCKS})
    s3().put_public_access_block(Bucket=p["bucket"], PublicAccessBlockConfiguration=told)


def put_encryption(p: Props) -> None:
    rules = []
    for each in p["rules"]:
        default = each["applyServerSideEncryptionByDefault"]
        rule: dict[str, Any] = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"]}}
        if "bucketKeyEnabled" in each:
            rule["BucketKeyEnabled"] = each["bucketKeyEnabled"]
        rules.append(rule)
    s3().put_bucket_encryption(Bucket=p["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})


def get_encryption(bucket: str) -> Mapping[str, Any]:
    found = s3().get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    return {
        "rules": [
            {
                "applyServerSideEncryptionByDefault": {
                    "sseAlgorithm": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
                },
                "bucketKeyEnabled": rule.get("BucketKeyEnabled"),
            }
            for rule in found
        ]
    }


def put_ownership(p: Props) -> None:
    s3().put_bucket_ownership_controls(Bucket=p["bucket"], OwnershipControls={"Rules": [pascal(p["rule"])]})


def get_ownership(bucket: str) -> Mapping[str, Any]:
    return {"rule": camel(s3().get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"][0])}


# ElastiCache


def retag_cache(arn: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        cache().remove_tags_from_resource(ResourceName=arn, TagKeys=list(old["tags"]))
    if new.get("tags"):
        cache().add_tags_to_resource(ResourceName=arn, Tags=pairs(new["tags"]))


def create_parameters(p: Props) -> str:
    cache().create_cache_parameter_group(
        CacheParameterGroupName=p["name"],
        CacheParameterGroupFamily=p["family"],
        Description=p["description"],
        Tags=pairs(p.get("tags")),
    )
    change_parameters(p["name"], {}, p)
    return str(p["name"])


def change_parameters(id_: str, old: Props, new: Props) -> None:
    now = {each["name"]: each["value"] for each in new.get("parameters", [])}
    before = {each["name"]: each["value"] for each in old.get("parameters", [])}
    if dropped := before.keys() - now.keys():
        names = [{"ParameterName": name, "ParameterValue": before[name]} for name in sorted(dropped)]
        cache().reset_cache_parameter_group(CacheParameterGroupName=id_, ParameterNameValues=names)
    values = [{"ParameterName": name, "ParameterValue": value} for name, value in now.items()]
    if values:
        cache().modify_cache_parameter_group(CacheParameterGroupName=id_, ParameterNameValues=values)


def read_parameters(id_: str, _: Props) -> Mapping[str, Any] | None:
    group = one(cache().describe_cache_parameter_groups(CacheParameterGroupName=id_)["CacheParameterGroups"])
    if group is None:
        return None
    found = cache().describe_cache_parameters(CacheParameterGroupName=id_, Source="user")["Parameters"]
    return {
        "name": id_,
        "family": group["CacheParameterGroupFamily"],
        "description": group["Description"],
        "parameters": [{"name": each["ParameterName"], "value": each["ParameterValue"]} for each in found],
        "tags": tags_of(cache().list_tags_for_resource(ResourceName=group["ARN"])["TagList"]),
        "arn": group["ARN"],
    }


def create_subnet_group(p: Props) -> str:
    cache().create_cache_subnet_group(
        CacheSubnetGroupName=p["name"],
        CacheSubnetGroupDescription=p["description"],
        SubnetIds=p["subnetIds"],
        Tags=pairs(p.get("tags")),
    )
    return str(p["name"])


def read_subnet_group(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(cache().describe_cache_subnet_groups(CacheSubnetGroupName=id_)["CacheSubnetGroups"])
    if found is None:
        return None
    return {
        "name": id_,
        "description": found["CacheSubnetGroupDescription"],
        "subnetIds": [each["SubnetIdentifier"] for each in found["Subnets"]],
        "tags": tags_of(cache().list_tags_for_resource(ResourceName=found["ARN"])["TagList"]),
        "arn": found["ARN"],
    }


def change_subnet_group(id_: str, old: Props, new: Props) -> None:
    cache().modify_cache_subnet_group(
        CacheSubnetGroupName=id_, CacheSubnetGroupDescription=new["description"], SubnetIds=new["subnetIds"]
    )


SERVERS = {
    "description": "ReplicationGroupDescription",
    "engine": "Engine",
    "engineVersion": "EngineVersion",
    "nodeType": "CacheNodeType",
    "numCacheClusters": "NumCacheClusters",
    "port": "Port",
    "parameterGroupName": "CacheParameterGroupName",
    "subnetGroupName": "CacheSubnetGroupName",
    "securityGroupIds": "SecurityGroupIds",
    "automaticFailoverEnabled": "AutomaticFailoverEnabled",
    "multiAzEnabled": "MultiAZEnabled",
    "atRestEncryptionEnabled": "AtRestEncryptionEnabled",
    "transitEncryptionEnabled": "TransitEncryptionEnabled",
    "authToken": "AuthToken",
    "snapshotRetentionLimit": "SnapshotRetentionLimit",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "snapshotWindow": "SnapshotWindow",
    "maintenanceWindow": "PreferredMaintenanceWindow",
}


def refuse_group(p: Props) -> None:
    if p.get("authToken") and not p.get("transitEncryptionEnabled"):
        raise Refused("an AUTH token needs transitEncryptionEnabled")
    token = p.get("authToken")
    if isinstance(token, str) and not 16 <= len(token) <= 128:
        raise Refused(f"an AUTH token has 16 to 128 characters, not {len(token)}")
    if p.get("multiAzEnabled") and not p.get("automaticFailoverEnabled"):
        raise Refused("multiAzEnabled needs automaticFailoverEnabled")
    if p.get("automaticFailoverEnabled") and p.get("numCacheClusters", 2) < 2:
        raise Refused("automaticFailoverEnabled needs a replica: numCacheClusters of 2 or more")


def create_group(p: Props) -> str:
    told = whole({name: p[key] for key, name in SERVERS.items() if key in p})
    cache().create_replication_group(ReplicationGroupId=p["replicationGroupId"], Tags=pairs(p.get("tags")), **told)
    return str(p["replicationGroupId"])


def raw_group(id_: str, _: Props) -> Any:
    return cache().describe_replication_groups(ReplicationGroupId=id_)["ReplicationGroups"][0]


def read_group(id_: str, known: Props) -> Mapping[str, Any] | None:
    found = raw_group(id_, known)
    return {
        "replicationGroupId": id_,
        "description": found["Description"],
        "engine": found.get("Engine"),
        "nodeType": found.get("CacheNodeType"),
        "autoMinorVersionUpgrade": found.get("AutoMinorVersionUpgrade"),
        "automaticFailoverEnabled": found["AutomaticFailover"] == "enabled",
        "multiAzEnabled": found.get("MultiAZ") == "enabled",
        "atRestEncryptionEnabled": found.get("AtRestEncryptionEnabled"),
        "transitEncryptionEnabled": found.get("TransitEncryptionEnabled"),
        "snapshotRetentionLimit": found.get("SnapshotRetentionLimit"),
        "tags": tags_of(cache().list_tags_for_resource(ResourceName=found["ARN"])["TagList"]),
        "arn": found["ARN"],
        "primaryEndpointAddress": f"master.{id_}.abcdef.use1.cache.amazonaws.com",
        "memberClusters": [f"{id_}-{number:03}" for number in range(1, 1 + int(known.get("numCacheClusters", 1)))],
    }


def change_group(id_: str, old: Props, new: Props) -> None:
    settled = {"engine", "port", "subnetGroupName", "atRestEncryptionEnabled", "numCacheClusters"}
    changed = [key for key in SERVERS if old.get(key) != new.get(key) and key not in settled]
    told = whole({SERVERS[key]: new[key] for key in changed if key in new})
    if told:
        cache().modify_replication_group(ReplicationGroupId=id_, ApplyImmediately=True, **told)
    retag_cache(f"arn:aws:elasticache:us-east-1:123456789012:replicationgroup:{id_}", old, new)


def delete_group(id_: str, known: Props) -> None:
    final = (
        {"FinalSnapshotIdentifier": known["finalSnapshotIdentifier"]} if known.get("finalSnapshotIdentifier") else {}
    )
    cache().delete_replication_group(ReplicationGroupId=id_, **final)


# EFS


def efs() -> Any:
    return aws("efs")


def create_files(p: Props) -> str:
    told = {"Encrypted": p["encrypted"], "ThroughputMode": p["throughputMode"], "Tags": pairs(p.get("tags"))}
    return str(efs().create_file_system(**told)["FileSystemId"])


def read_files(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(efs().describe_file_systems(FileSystemId=id_)["FileSystems"])
    if found is None:
        return None
    return {
        "encrypted": found.get("Encrypted"),
        "throughputMode": found.get("ThroughputMode"),
        "tags": tags_of(found.get("Tags")),
        "arn": found.get("FileSystemArn") or f"arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/{id_}",
    }


def create_mount(p: Props) -> str:
    made = efs().create_mount_target(
        FileSystemId=p["fileSystemId"], SubnetId=p["subnetId"], SecurityGroups=p["securityGroups"]
    )
    return str(made["MountTargetId"])


def read_mount(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(efs().describe_mount_targets(MountTargetId=id_)["MountTargets"])
    if found is None:
        return None
    groups = efs().describe_mount_target_security_groups(MountTargetId=id_)["SecurityGroups"]
    return {"fileSystemId": found["FileSystemId"], "subnetId": found["SubnetId"], "securityGroups": groups}


def create_access(p: Props) -> str:
    root, user = whole(p["rootDirectory"]), whole(p["posixUser"])
    made = efs().create_access_point(
        ClientToken=str(p["fileSystemId"]),
        FileSystemId=p["fileSystemId"],
        PosixUser={"Uid": user["uid"], "Gid": user["gid"]},
        RootDirectory=pascal(root),
        Tags=pairs(p.get("tags")),
    )
    return str(made["AccessPointId"])


def read_access(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = one(efs().describe_access_points(AccessPointId=id_)["AccessPoints"])
    if found is None:
        return None
    return {
        "fileSystemId": found["FileSystemId"],
        "rootDirectory": camel(found["RootDirectory"]),
        "posixUser": camel(found["PosixUser"]),
        "tags": tags_of(found.get("Tags")),
        "arn": found["AccessPointArn"],
    }


# Secrets


def secrets() -> Any:
    return aws("secretsmanager")


def create_secret(p: Props) -> str:
    made = secrets().create_secret(Name=p["name"], Description=p.get("description", ""), Tags=pairs(p.get("tags")))
    return str(made["ARN"])


def read_secret(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = secrets().describe_secret(SecretId=id_)
    if "DeletedDate" in found:
        return None
    return {
        "name": found["Name"],
        "description": found.get("Description"),
        "tags": tags_of(found.get("Tags")),
        "arn": found["ARN"],
    }


def change_secret(id_: str, old: Props, new: Props) -> None:
    secrets().update_secret(SecretId=id_, Description=new.get("description", ""))
    if old.get("tags"):
        secrets().untag_resource(SecretId=id_, TagKeys=list(old["tags"]))
    secrets().tag_resource(SecretId=id_, Tags=pairs(new.get("tags")))


def delete_secret(id_: str, known: Props) -> None:
    days = int(known.get("recoveryWindowInDays", 30))
    secrets().delete_secret(
        SecretId=id_, **({"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True})
    )


def put_value(p: Props) -> str:
    made = secrets().put_secret_value(SecretId=p["secretId"], SecretString=p["secretString"])
    return f"{p['secretId']}|{made['VersionId']}"


def read_value(id_: str, _: Props) -> Mapping[str, Any] | None:
    secret, _sep, version = id_.partition("|")
    found = secrets().get_secret_value(SecretId=secret, VersionId=version)
    return {"secretId": secret, "secretString": found["SecretString"], "versionId": version, "arn": secret}


KINDS = {
    "aws:s3/bucket:Bucket": Kind(
        create_bucket,
        read_bucket,
        change_bucket,
        delete_bucket,
        name="bucket",
        longest=63,
        lower=True,
        replaces=frozenset({"bucket"}),
        dropped={"forceDestroy": "`null`"},
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": part_of_bucket(
        put_lifecycle, get_lifecycle, lambda **b: s3().delete_bucket_lifecycle(**b)
    ),
    "aws:s3/bucketPolicy:BucketPolicy": part_of_bucket(
        put_policy,
        lambda id_: {"policy": s3().get_bucket_policy(Bucket=id_)["Policy"]},
        lambda **b: s3().delete_bucket_policy(**b),
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": part_of_bucket(
        put_block,
        lambda id_: camel(s3().get_public_access_block(Bucket=id_)["PublicAccessBlockConfiguration"]),
        lambda **b: s3().delete_public_access_block(**b),
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": part_of_bucket(
        put_encryption, get_encryption, lambda **b: s3().delete_bucket_encryption(**b)
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": part_of_bucket(
        put_ownership, get_ownership, lambda **b: s3().delete_bucket_ownership_controls(**b)
    ),
    "aws:elasticache/parameterGroup:ParameterGroup": Kind(
        create_parameters,
        read_parameters,
        change_parameters,
        lambda id_, _: cache().delete_cache_parameter_group(CacheParameterGroupName=id_),
        name="name",
        lower=True,
        replaces=frozenset({"name", "family", "description"}),
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": Kind(
        create_subnet_group,
        read_subnet_group,
        change_subnet_group,
        lambda id_, _: cache().delete_cache_subnet_group(CacheSubnetGroupName=id_),
        name="name",
        lower=True,
        replaces=frozenset({"name"}),
    ),
    "aws:elasticache/replicationGroup:ReplicationGroup": Kind(
        create_group,
        read_group,
        change_group,
        delete_group,
        name="replicationGroupId",
        longest=40,
        lower=True,
        refuse=refuse_group,
        raw=raw_group,
        replaces=frozenset({"replicationGroupId", "engine", "subnetGroupName", "port", "atRestEncryptionEnabled"}),
        dropped={
            "numCacheClusters": "length(MemberClusters)",
            "engineVersion": "EngineVersion",
            "parameterGroupName": "CacheParameterGroupName",
            "subnetGroupName": "CacheSubnetGroupName",
            "securityGroupIds": "SecurityGroups",
            "port": "Port",
            # Nobody is told these again, on AWS neither.
            "authToken": "AuthToken",
            "authTokenUpdateStrategy": "`null`",
            "applyImmediately": "`null`",
            "finalSnapshotIdentifier": "`null`",
        },
    ),
    "aws:efs/fileSystem:FileSystem": Kind(
        create_files,
        read_files,
        settled,
        lambda id_, _: efs().delete_file_system(FileSystemId=id_),
        replaces=frozenset({"encrypted"}),
    ),
    "aws:efs/mountTarget:MountTarget": Kind(
        create_mount,
        read_mount,
        settled,
        lambda id_, _: efs().delete_mount_target(MountTargetId=id_),
        replaces=frozenset({"fileSystemId", "subnetId"}),
    ),
    "aws:efs/accessPoint:AccessPoint": Kind(
        create_access,
        read_access,
        settled,
        lambda id_, _: efs().delete_access_point(AccessPointId=id_),
        replaces=frozenset({"fileSystemId", "rootDirectory", "posixUser"}),
    ),
    "aws:secretsmanager/secret:Secret": Kind(
        create_secret,
        read_secret,
        change_secret,
        delete_secret,
        name="name",
        longest=512,
        replaces=frozenset({"name"}),
        dropped={"recoveryWindowInDays": "`null`"},
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Kind(
        put_value,
        read_value,
        settled,
        lambda id_, _: None,
        replaces=frozenset({"secretId", "secretString"}),
    ),
}
