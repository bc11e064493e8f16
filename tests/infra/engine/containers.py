"""ECS, ECR and what scales services."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from infra.fargate import size_problem
from tests.infra.engine.kind import Kind, Props, Refused, again, aws, camel, one, pairs, pascal, tags_of, whole


def ecs() -> Any:
    return aws("ecs")


CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/"


def ecs_tags(found: Any) -> dict[str, str]:
    return tags_of(found.get("tags"), "key", "value")


def retag(arn: str, old: Props, new: Props) -> None:
    if old.get("tags"):
        ecs().untag_resource(resourceArn=arn, tagKeys=list(old["tags"]))
    if new.get("tags"):
        ecs().tag_resource(resourceArn=arn, tags=pairs(new["tags"], "key", "value"))


# Clusters


def create_cluster(p: Props) -> str:
    made = ecs().create_cluster(
        clusterName=p["name"], settings=p.get("settings", []), tags=pairs(p.get("tags"), "key", "value")
    )
    return str(made["cluster"]["clusterArn"])


def described(id_: str) -> Any:
    found = one(ecs().describe_clusters(clusters=[id_], include=["TAGS", "SETTINGS"])["clusters"])
    return found if found and found["status"] == "ACTIVE" else None


def read_cluster(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described(id_)
    if found is None:
        return None
    return {
        "name": found["clusterName"],
        "settings": [{"name": each["name"], "value": each["value"]} for each in found.get("settings", [])],
        "tags": ecs_tags(found),
        "arn": id_,
    }


def change_cluster(id_: str, old: Props, new: Props) -> None:
    ecs().update_cluster(cluster=id_, settings=new.get("settings", []))
    retag(id_, old, new)


def delete_cluster(id_: str, _: Props) -> None:
    running = [
        arn for status in ("RUNNING",) for arn in ecs().list_tasks(cluster=id_, desiredStatus=status)["taskArns"]
    ]
    if running:
        raise Refused(f"ClusterContainsTasksException: {id_} has {len(running)} tasks, such as {running[0]}")
    ecs().delete_cluster(cluster=id_)


def put_providers(p: Props) -> str:
    ecs().put_cluster_capacity_providers(
        cluster=p["clusterName"],
        capacityProviders=p["capacityProviders"],
        defaultCapacityProviderStrategy=whole(p.get("defaultCapacityProviderStrategies", [])),
    )
    return str(p["clusterName"])


def read_providers(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = described(id_)
    if found is None:
        return None
    return {
        "clusterName": id_,
        "capacityProviders": found.get("capacityProviders", []),
        "defaultCapacityProviderStrategies": found.get("defaultCapacityProviderStrategy", []),
    }


def delete_providers(id_: str, _: Props) -> None:
    ecs().put_cluster_capacity_providers(cluster=id_, capacityProviders=[], defaultCapacityProviderStrategy=[])


# Task definitions


def refuse_definition(p: Props) -> None:
    if all(isinstance(p.get(key), str) for key in ("cpu", "memory")):
        problem = size_problem(int(p["cpu"]), int(p["memory"]))
        if problem:
            raise Refused(problem)
    text = p.get("containerDefinitions")
    if isinstance(text, str) and len(text) > 65_536:
        raise Refused("a task definition has 64 KiB at most")


def register(p: Props) -> str:
    told: dict[str, Any] = {
        "family": p["family"],
        "containerDefinitions": json.loads(p["containerDefinitions"]),
        "cpu": p["cpu"],
        "memory": p["memory"],
        "networkMode": p["networkMode"],
        "requiresCompatibilities": p["requiresCompatibilities"],
        "taskRoleArn": p["taskRoleArn"],
        "executionRoleArn": p["executionRoleArn"],
        "runtimePlatform": p["runtimePlatform"],
        "volumes": [api_volume(each) for each in p.get("volumes", [])],
        "tags": pairs(p.get("tags"), "key", "value"),
    }
    if p.get("ephemeralStorage"):
        told["ephemeralStorage"] = whole(p["ephemeralStorage"])
    return str(ecs().register_task_definition(**told)["taskDefinition"]["taskDefinitionArn"])


def api_volume(volume: Props) -> dict[str, Any]:
    made: dict[str, Any] = {"name": volume["name"]}
    efs = volume.get("efsVolumeConfiguration")
    if efs:
        made["efsVolumeConfiguration"] = {
            "fileSystemId": efs["fileSystemId"],
            "transitEncryption": efs["transitEncryption"],
            "authorizationConfig": {
                "accessPointId": efs["authorizationConfig"]["accessPointId"],
                "iam": efs["authorizationConfig"]["iam"],
            },
        }
    return made


def raw_definition(id_: str, _: Props) -> Any:
    return ecs().describe_task_definition(taskDefinition=id_, include=["TAGS"])


def read_definition(id_: str, known: Props) -> Mapping[str, Any] | None:
    answer = raw_definition(id_, known)
    found = answer["taskDefinition"]
    if found["status"] != "ACTIVE":
        return None
    return {
        "family": found["family"],
        "cpu": found.get("cpu"),
        "memory": found.get("memory"),
        "networkMode": found["networkMode"],
        "requiresCompatibilities": found.get("requiresCompatibilities", []),
        "taskRoleArn": found.get("taskRoleArn"),
        "executionRoleArn": found.get("executionRoleArn"),
        "runtimePlatform": found.get("runtimePlatform"),
        "volumes": found.get("volumes", []),
        "ephemeralStorage": found.get("ephemeralStorage"),
        "containerDefinitions": json.dumps(found["containerDefinitions"]),
        "tags": ecs_tags(answer),
        "arn": id_,
        "arnWithoutRevision": id_.rpartition(":")[0],
        "revision": found["revision"],
    }


def deregister(id_: str, known: Props) -> None:
    if not known.get("skipDestroy"):
        ecs().deregister_task_definition(taskDefinition=id_)


def retag_definition(id_: str, old: Props, new: Props) -> None:
    retag(id_, old, new)


# Services

SERVICE = {
    "taskDefinition": "taskDefinition",
    "desiredCount": "desiredCount",
    "launchType": "launchType",
    "propagateTags": "propagateTags",
    "enableEcsManagedTags": "enableECSManagedTags",
    "enableExecuteCommand": "enableExecuteCommand",
    "healthCheckGracePeriodSeconds": "healthCheckGracePeriodSeconds",
}


def service_inputs(p: Props) -> dict[str, Any]:
    told: dict[str, Any] = whole({name: p[key] for key, name in SERVICE.items() if key in p})
    network = p["networkConfiguration"]
    told["networkConfiguration"] = {
        "awsvpcConfiguration": {
            "subnets": network["subnets"],
            "securityGroups": network["securityGroups"],
            "assignPublicIp": "ENABLED" if network.get("assignPublicIp") else "DISABLED",
        }
    }
    told["loadBalancers"] = [whole(each) for each in p.get("loadBalancers", [])]
    if "serviceRegistries" in p:
        told["serviceRegistries"] = [p["serviceRegistries"]]
    told["deploymentConfiguration"] = whole(
        {
            "minimumHealthyPercent": p["deploymentMinimumHealthyPercent"],
            "maximumPercent": p["deploymentMaximumPercent"],
            **({"deploymentCircuitBreaker": p["deploymentCircuitBreaker"]} if "deploymentCircuitBreaker" in p else {}),
        }
    )
    return told


def refuse_service(p: Props) -> None:
    definition = p.get("taskDefinition")
    if isinstance(definition, str) and definition:
        status = ecs().describe_task_definition(taskDefinition=definition)["taskDefinition"]["status"]
        if status != "ACTIVE":
            raise Refused(f"the task definition {definition} is {status}")


def check_targets(p: Props) -> None:
    for each in p.get("loadBalancers", []):
        found = aws("elbv2").describe_target_groups(TargetGroupArns=[each["targetGroupArn"]])["TargetGroups"][0]
        if not found.get("LoadBalancerArns"):
            raise Refused(f"the target group {each['targetGroupArn']} does not have an associated load balancer")


def create_service(p: Props) -> str:
    check_targets(p)
    told = service_inputs(p)
    made = ecs().create_service(
        cluster=p["cluster"], serviceName=p["name"], tags=pairs(p.get("tags"), "key", "value"), **told
    )
    return str(made["service"]["serviceArn"])


def raw_service(id_: str, known: Props) -> Any:
    found = one(ecs().describe_services(cluster=known["cluster"], services=[id_], include=["TAGS"])["services"])
    return found if found and found["status"] == "ACTIVE" else None


def read_service(id_: str, known: Props) -> Mapping[str, Any] | None:
    found = raw_service(id_, known)
    if found is None:
        return None
    network = found.get("networkConfiguration", {}).get("awsvpcConfiguration")
    return {
        "name": found["serviceName"],
        "cluster": found["clusterArn"],
        "taskDefinition": found["taskDefinition"],
        "desiredCount": found["desiredCount"],
        "launchType": found.get("launchType"),
        "propagateTags": found.get("propagateTags"),
        "loadBalancers": found.get("loadBalancers", []),
        "serviceRegistries": one(found.get("serviceRegistries", [])),
        "networkConfiguration": network
        and {
            "subnets": network["subnets"],
            "securityGroups": network["securityGroups"],
            "assignPublicIp": network.get("assignPublicIp") == "ENABLED",
        },
        "tags": ecs_tags(found),
        "arn": id_,
    }


def change_service(id_: str, old: Props, new: Props) -> None:
    check_targets(new)
    told = service_inputs(new)
    for fixed in ("launchType", "propagateTags", "enableECSManagedTags", "loadBalancers", "serviceRegistries"):
        told.pop(fixed, None)
    if old.get("desiredCount") == new.get("desiredCount"):
        told.pop("desiredCount", None)
    ecs().update_service(cluster=new["cluster"], service=id_, **told)
    retag(id_, old, new)


def delete_service(id_: str, known: Props) -> None:
    ecs().update_service(cluster=known["cluster"], service=id_, desiredCount=0)
    ecs().delete_service(cluster=known["cluster"], service=id_, force=True)


# ECR


def ecr() -> Any:
    return aws("ecr")


def create_repository(p: Props) -> str:
    encryption = p["encryptionConfigurations"][0]
    ecr().create_repository(
        repositoryName=p["name"],
        imageTagMutability=p["imageTagMutability"],
        imageScanningConfiguration=p["imageScanningConfiguration"],
        encryptionConfiguration=encryption,
        tags=pairs(p.get("tags")),
    )
    return str(p["name"])


def read_repository(id_: str, _: Props) -> Mapping[str, Any] | None:
    found = ecr().describe_repositories(repositoryNames=[id_])["repositories"][0]
    return {
        "name": id_,
        "imageTagMutability": found["imageTagMutability"],
        "imageScanningConfiguration": found["imageScanningConfiguration"],
        "encryptionConfigurations": [found["encryptionConfiguration"]],
        "tags": tags_of(ecr().list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]),
        "arn": found["repositoryArn"],
        "repositoryUrl": found["repositoryUri"],
        "registryId": found["registryId"],
    }


def change_repository(id_: str, old: Props, new: Props) -> None:
    ecr().put_image_tag_mutability(repositoryName=id_, imageTagMutability=new["imageTagMutability"])
    ecr().put_image_scanning_configuration(
        repositoryName=id_, imageScanningConfiguration=new["imageScanningConfiguration"]
    )
    arn = ecr().describe_repositories(repositoryNames=[id_])["repositories"][0]["repositoryArn"]
    if old.get("tags"):
        ecr().untag_resource(resourceArn=arn, tagKeys=list(old["tags"]))
    ecr().tag_resource(resourceArn=arn, tags=pairs(new.get("tags")))


def delete_repository(id_: str, known: Props) -> None:
    images = ecr().list_images(repositoryName=id_)["imageIds"]
    if images and not known.get("forceDelete"):
        raise Refused(f"RepositoryNotEmptyException: {id_} has {len(images)} images")
    ecr().delete_repository(repositoryName=id_, force=True)


def put_lifecycle(p: Props) -> str:
    ecr().put_lifecycle_policy(repositoryName=p["repository"], lifecyclePolicyText=p["policy"])
    return str(p["repository"])


def read_lifecycle(id_: str, _: Props) -> Mapping[str, Any] | None:
    return {"repository": id_, "policy": ecr().get_lifecycle_policy(repositoryName=id_)["lifecyclePolicyText"]}


# Images: nothing is built; what is pushed is the digest of what would be built of.


def push(p: Props) -> str:
    (reference,) = p["tags"]
    repository, _sep, tag = reference.partition("/")[2].rpartition(":")
    (found,) = ecr().describe_repositories(repositoryNames=[repository])["repositories"]
    taken = {each.get("imageTag") for each in ecr().list_images(repositoryName=repository)["imageIds"]}
    if found["imageTagMutability"] == "IMMUTABLE" and tag in taken:
        raise Refused(f"ImageTagAlreadyExistsException: {repository} has the tag {tag}, and its tags are immutable")
    made_of = json.dumps({key: p.get(key) for key in ("buildArgs", "platforms", "tags")}, sort_keys=True)
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": f"sha256:{sha256(made_of.encode()).hexdigest()}",
    }
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config}
    )
    ecr().put_image(repositoryName=repository, imageManifest=manifest, imageTag=tag)
    return f"{repository}:{tag}"


def read_image(id_: str, known: Props) -> Mapping[str, Any] | None:
    (reference,) = known["tags"]  # the id is that of the first build
    repository, _sep, tag = reference.partition("/")[2].rpartition(":")
    found = ecr().describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"][0]
    digest = found["imageDigest"]
    return {**known, "digest": digest, "ref": f"{reference.rpartition(':')[0]}@{digest}", "contextHash": digest}


# Scaling


def scaling() -> Any:
    return aws("application-autoscaling")


PLACE = {"serviceNamespace": "ServiceNamespace", "resourceId": "ResourceId", "scalableDimension": "ScalableDimension"}


def place(p: Props) -> dict[str, Any]:
    return {name: p[key] for key, name in PLACE.items()}


def put_target(p: Props) -> str:
    told = {**place(p), "MinCapacity": int(p["minCapacity"]), "MaxCapacity": int(p["maxCapacity"])}
    arn = scaling().register_scalable_target(**told)["ScalableTargetARN"]
    known = scaling().list_tags_for_resource(ResourceARN=arn)["Tags"]
    if known:
        scaling().untag_resource(ResourceARN=arn, TagKeys=list(known))
    scaling().tag_resource(ResourceARN=arn, Tags=p.get("tags") or {})
    return str(p["resourceId"])


def read_target(id_: str, known: Props) -> Mapping[str, Any] | None:
    found = one(
        scaling().describe_scalable_targets(ServiceNamespace=known["serviceNamespace"], ResourceIds=[id_])[
            "ScalableTargets"
        ]
    )
    if found is None:
        return None
    return {
        **{key: found[name] for key, name in PLACE.items()},
        "minCapacity": found["MinCapacity"],
        "maxCapacity": found["MaxCapacity"],
        "tags": scaling().list_tags_for_resource(ResourceARN=found["ScalableTargetARN"])["Tags"],
        "arn": found["ScalableTargetARN"],
    }


def put_scaling_policy(p: Props) -> str:
    config = whole(pascal(p["targetTrackingScalingPolicyConfiguration"]))
    config["PredefinedMetricSpecification"] = config.pop("PredefinedMetricSpecification")
    scaling().put_scaling_policy(
        **place(p), PolicyName=p["name"], PolicyType=p["policyType"], TargetTrackingScalingPolicyConfiguration=config
    )
    return str(p["name"])


def read_scaling_policy(id_: str, known: Props) -> Mapping[str, Any] | None:
    there = scaling().describe_scaling_policies(
        ServiceNamespace=known["serviceNamespace"], ResourceId=known["resourceId"], PolicyNames=[id_]
    )["ScalingPolicies"]
    found = one([each for each in there if each["PolicyName"] == id_])  # moto answers with all
    if found is None:
        return None
    return {
        **{key: found[name] for key, name in PLACE.items()},
        "name": id_,
        "policyType": found["PolicyType"],
        "targetTrackingScalingPolicyConfiguration": camel(found["TargetTrackingScalingPolicyConfiguration"]),
    }


KINDS = {
    "docker-build:index:Image": Kind(
        push,
        read_image,
        again(push),
        lambda id_, _: None,
        dropped=dict.fromkeys(
            ("push", "context", "dockerfile", "platforms", "buildArgs", "registries", "tags"), "`null`"
        ),
        renewed=frozenset({"digest", "ref", "contextHash"}),  # its provider builds again, and replaces nothing
    ),
    "aws:ecs/cluster:Cluster": Kind(
        create_cluster, read_cluster, change_cluster, delete_cluster, name="name", replaces=frozenset({"name"})
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": Kind(
        put_providers,
        read_providers,
        again(put_providers),
        delete_providers,
        replaces=frozenset({"clusterName"}),
    ),
    "aws:ecs/taskDefinition:TaskDefinition": Kind(
        register,
        read_definition,
        retag_definition,
        deregister,
        refuse=refuse_definition,
        raw=raw_definition,
        replaces=frozenset(
            {
                "family",
                "containerDefinitions",
                "cpu",
                "memory",
                "networkMode",
                "requiresCompatibilities",
                "taskRoleArn",
                "executionRoleArn",
                "runtimePlatform",
                "volumes",
                "ephemeralStorage",
            }
        ),
        dropped={"skipDestroy": "`null`"},
    ),
    "aws:ecs/service:Service": Kind(
        create_service,
        read_service,
        change_service,
        delete_service,
        name="name",
        refuse=refuse_service,
        raw=raw_service,
        replaces=frozenset({"name", "cluster", "launchType", "serviceRegistries"}),
        dropped={
            "enableExecuteCommand": "enableExecuteCommand",
            "enableEcsManagedTags": "enableECSManagedTags",
            "deploymentMinimumHealthyPercent": "deploymentConfiguration.minimumHealthyPercent",
            "deploymentMaximumPercent": "deploymentConfiguration.maximumPercent",
            "deploymentCircuitBreaker": "deploymentConfiguration.deploymentCircuitBreaker",
            "healthCheckGracePeriodSeconds": "healthCheckGracePeriodSeconds",
            "waitForSteadyState": "`null`",
        },
    ),
    "aws:ecr/repository:Repository": Kind(
        create_repository,
        read_repository,
        change_repository,
        delete_repository,
        name="name",
        lower=True,
        replaces=frozenset({"name", "encryptionConfigurations"}),
        dropped={"forceDelete": "`null`"},
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Kind(
        put_lifecycle,
        read_lifecycle,
        again(put_lifecycle),
        lambda id_, _: ecr().delete_lifecycle_policy(repositoryName=id_),
        replaces=frozenset({"repository"}),
    ),
    "aws:appautoscaling/target:Target": Kind(
        put_target,
        read_target,
        again(put_target),
        lambda id_, known: scaling().deregister_scalable_target(**place(known)),
        replaces=frozenset(PLACE),
    ),
    "aws:appautoscaling/policy:Policy": Kind(
        put_scaling_policy,
        read_scaling_policy,
        again(put_scaling_policy),
        lambda id_, known: scaling().delete_scaling_policy(**place(known), PolicyName=id_),
        name="name",
        replaces=frozenset({"name", *PLACE}),
    ),
}
