"""What providers answer under mocks: ids, ARNs and names in the form that AWS gives them, the same in every run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.infra import mock_awsx
from tests.infra.graph import Recorded
from tests.infra.mock_awsx import digest
from tests.infra.mock_invokes import ACCOUNT, PARTITION, REGION

Outputs = Callable[[Recorded], Mapping[str, Any]]
"""A resource with its inputs in, its outputs by their names in the schema out; `id` among them is its id."""


def of(resource: Recorded, extra: Mapping[str, Outputs]) -> dict[str, Any]:
    """Outputs of a resource beyond its inputs, `id` among them.

    Args:
        resource: to be answered.
        extra: outputs over those of the tables here, by type token or class name.
    """
    made = dict(_default(resource)) if resource.custom else {}
    for table in (_OUTPUTS, extra):
        for key in (resource.type.rpartition(":")[2], resource.type):
            if key in table:
                made.update(table[key](resource))
    return made


def name_of(resource: Recorded) -> str:
    """Physical name: the one given, or Pulumi's, which is the logical name with seven digits."""
    for key in _NAMES:
        if isinstance(given := resource.inputs.get(key), str):
            return given
    prefix = resource.inputs.get("namePrefix")
    return f"{prefix}{digest(resource, 26)}" if isinstance(prefix, str) else f"{resource.name}-{digest(resource, 7)}"


_NAMES = ("name", "bucket", "replicationGroupId", "family", "dashboardName", "identifier")
_IDS = {
    "ec2/securityGroup:SecurityGroup": "sg",
    "ec2/vpc:Vpc": "vpc",
    "ec2/subnet:Subnet": "subnet",
    "ec2/vpcEndpoint:VpcEndpoint": "vpce",
    "ec2/routeTable:RouteTable": "rtb",
    "ec2/natGateway:NatGateway": "nat",
    "ec2/internetGateway:InternetGateway": "igw",
    "ec2/eip:Eip": "eipalloc",
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": "sgr",
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": "sgr",
    "efs/fileSystem:FileSystem": "fs",
    "efs/accessPoint:AccessPoint": "fsap",
    "efs/mountTarget:MountTarget": "fsmt",
    "servicediscovery/privateDnsNamespace:PrivateDnsNamespace": "ns",
    "servicediscovery/service:Service": "srv",
}
_ARNS = {
    "acm/certificate:Certificate": "acm:{region}:{account}:certificate/{uuid}",
    "cloudwatch/logGroup:LogGroup": "logs:{region}:{account}:log-group:{name}",
    "cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "cloudwatch/compositeAlarm:CompositeAlarm": "cloudwatch:{region}:{account}:alarm:{name}",
    "ec2/securityGroup:SecurityGroup": "ec2:{region}:{account}:security-group/{id}",
    "ec2/vpcEndpoint:VpcEndpoint": "ec2:{region}:{account}:vpc-endpoint/{id}",
    "ecr/repository:Repository": "ecr:{region}:{account}:repository/{name}",
    "ecs/cluster:Cluster": "ecs:{region}:{account}:cluster/{name}",
    "ecs/taskDefinition:TaskDefinition": "ecs:{region}:{account}:task-definition/{name}:1",
    "efs/accessPoint:AccessPoint": "elasticfilesystem:{region}:{account}:access-point/{id}",
    "efs/fileSystem:FileSystem": "elasticfilesystem:{region}:{account}:file-system/{id}",
    "elasticache/parameterGroup:ParameterGroup": "elasticache:{region}:{account}:parametergroup:{name}",
    "elasticache/replicationGroup:ReplicationGroup": "elasticache:{region}:{account}:replicationgroup:{name}",
    "elasticache/subnetGroup:SubnetGroup": "elasticache:{region}:{account}:subnetgroup:{name}",
    "iam/policy:Policy": "iam::{account}:policy/{name}",
    "iam/role:Role": "iam::{account}:role/{name}",
    "kms/key:Key": "kms:{region}:{account}:key/{uuid}",
    "lb/listener:Listener": "elasticloadbalancing:{region}:{account}:listener/app/{name}/{hex16}/{hex16}",
    "lb/loadBalancer:LoadBalancer": "elasticloadbalancing:{region}:{account}:loadbalancer/app/{name}/{hex16}",
    "lb/targetGroup:TargetGroup": "elasticloadbalancing:{region}:{account}:targetgroup/{name}/{hex16}",
    "s3/bucket:Bucket": "s3:::{name}",
    "secretsmanager/secret:Secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
    "servicediscovery/privateDnsNamespace:PrivateDnsNamespace": "servicediscovery:{region}:{account}:namespace/{id}",
    "servicediscovery/service:Service": "servicediscovery:{region}:{account}:service/{id}",
    "sns/topic:Topic": "sns:{region}:{account}:{name}",
}
_FILE_SYSTEMS = f"arn:{PARTITION}:elasticfilesystem:{REGION}:{ACCOUNT}:file-system"
_ARN_IS_ID = re.compile(r"aws:(acm|lb|secretsmanager|sns|ecs)/(?!taskDefinition|clusterCapacity)|aws:iam/policy:")


def _default(resource: Recorded) -> Iterator[tuple[str, Any]]:
    """What most resources have: id, name, ARN, tags."""
    name, short = name_of(resource), resource.type.removeprefix("aws:")
    if not resource.type.startswith("aws:"):
        yield "id", name
        return
    own = f"{_IDS[short]}-{digest(resource)}" if short in _IDS else name
    service, _, kind = short.partition("/")
    template = _ARNS.get(short, f"{service}:{{region}}:{{account}}:{kind.partition(':')[0].lower()}/{{name}}")
    hexes = digest(resource, 32)
    uuid = f"{hexes[:8]}-{hexes[8:12]}-4{hexes[13:16]}-a{hexes[17:20]}-{hexes[20:]}"
    values = {"region": REGION, "account": ACCOUNT, "name": name, "id": own, "uuid": uuid, "hex16": hexes[:16]}
    arn = f"arn:{PARTITION}:{template.format(**values)}"
    yield "id", arn if _ARN_IS_ID.match(resource.type) else own
    yield "arn", arn
    if "tags" in resource.inputs:
        yield "tagsAll", resource.inputs["tags"]
    yield "name", name
    yield "ownerId", ACCOUNT


def _cluster_service(resource: Recorded) -> Mapping[str, Any]:
    cluster = str(resource.inputs.get("cluster", "default")).rpartition("/")[2]
    arn = f"arn:{PARTITION}:ecs:{REGION}:{ACCOUNT}:service/{cluster}/{name_of(resource)}"
    return {"id": arn, "arn": arn}


def _task_definition(resource: Recorded) -> Mapping[str, Any]:
    arn = f"arn:{PARTITION}:ecs:{REGION}:{ACCOUNT}:task-definition/{name_of(resource)}"
    return {"arn": f"{arn}:1", "arnWithoutRevision": arn, "revision": 1, "id": name_of(resource)}


def _load_balancer(resource: Recorded) -> Mapping[str, Any]:
    name = name_of(resource)
    return {
        "arnSuffix": f"app/{name}/{digest(resource, 16)}",
        "dnsName": f"{name}-1234567890.{REGION}.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
        "vpcId": "vpc-0123456789abcdef0",
    }


def _replication_group(resource: Recorded) -> Mapping[str, Any]:
    name = name_of(resource)
    members = [f"{name}-{number:03}" for number in range(1, int(resource.inputs.get("numCacheClusters", 1)) + 1)]
    return {
        "replicationGroupId": name,
        "primaryEndpointAddress": f"master.{name}.abcdef.use1.cache.amazonaws.com",
        "readerEndpointAddress": f"replica.{name}.abcdef.use1.cache.amazonaws.com",
        "memberClusters": members,
        "clusterEnabled": False,
        "engineVersionActual": f"{resource.inputs.get('engineVersion', '8.0')}.1",
    }


def _bucket(resource: Recorded) -> Mapping[str, Any]:
    name = name_of(resource)
    return {
        "bucket": name,
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{REGION}.amazonaws.com",
        "bucketRegion": REGION,
        "hostedZoneId": "Z3AQBSTGFYJSTF",
    }


def _certificate(resource: Recorded) -> Mapping[str, Any]:
    names = [resource.inputs.get("domainName", "example.com"), *resource.inputs.get("subjectAlternativeNames", [])]
    options = [
        {
            "domainName": name,
            "resourceRecordName": f"_{digest(resource, 32)}.{name}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{digest(resource, 31)}.acm-validations.aws.",
        }
        for name in names
    ]
    return {"domainValidationOptions": options, "status": "PENDING_VALIDATION"}


def _secret_version(resource: Recorded) -> Mapping[str, Any]:
    secret, version = resource.inputs.get("secretId", ""), digest(resource, 32)
    return {"id": f"{secret}|{version}", "arn": secret, "secretArn": secret, "versionId": version}


def _password(resource: Recorded) -> Mapping[str, Any]:
    length = int(resource.inputs.get("length", 32))
    result = (digest(resource, 64) * (length // 64 + 1))[:length]
    return {"id": "none", "result": result, "bcryptHash": f"$2a$10${result[:53]}"}


def _pem(kind: str, resource: Recorded) -> str:
    return f"-----BEGIN {kind}-----\n{digest(resource, 64)}\n-----END {kind}-----\n"


def _private_key(resource: Recorded) -> Mapping[str, Any]:
    return {
        "id": digest(resource, 40),
        "privateKeyPem": _pem("PRIVATE KEY", resource),
        "privateKeyPemPkcs8": _pem("PRIVATE KEY", resource),
        "privateKeyOpenssh": _pem("OPENSSH PRIVATE KEY", resource),
        "publicKeyPem": _pem("PUBLIC KEY", resource),
        "publicKeyOpenssh": f"ecdsa-sha2-nistp256 {digest(resource, 64)}",
    }


def _signed(resource: Recorded) -> Mapping[str, Any]:
    times = {"validityStartTime": "2026-01-01T00:00:00Z", "validityEndTime": "2036-01-01T00:00:00Z"}
    return {"id": digest(resource, 38), "certPem": _pem("CERTIFICATE", resource), "readyForRenewal": False, **times}


_OUTPUTS: Mapping[str, Outputs] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:acm/certificateValidation:CertificateValidation": lambda of: {
        "certificateArn": of.inputs.get("certificateArn")
    },
    "aws:cloudwatch/dashboard:Dashboard": lambda of: {
        "dashboardArn": f"arn:{PARTITION}:cloudwatch::{ACCOUNT}:dashboard/{name_of(of)}"
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda of: {"state": "available", "prefixListId": "pl-63a5400a"},
    "aws:ecr/repository:Repository": lambda of: {
        "registryId": ACCOUNT,
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name_of(of)}",
    },
    "aws:ecs/service:Service": _cluster_service,
    "aws:ecs/taskDefinition:TaskDefinition": _task_definition,
    "aws:efs/accessPoint:AccessPoint": lambda of: {"fileSystemArn": f"{_FILE_SYSTEMS}/{of.inputs.get('fileSystemId')}"},
    "aws:efs/fileSystem:FileSystem": lambda of: {
        "dnsName": f"fs-{digest(of)}.efs.{REGION}.amazonaws.com",
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": _replication_group,
    "aws:iam/role:Role": lambda of: {"uniqueId": f"AROA{digest(of).upper()}"},
    "aws:lb/loadBalancer:LoadBalancer": _load_balancer,
    "aws:lb/targetGroup:TargetGroup": lambda of: {"arnSuffix": f"targetgroup/{name_of(of)}/{digest(of, 16)}"},
    "aws:route53/record:Record": lambda of: {"fqdn": of.inputs.get("name")},
    "aws:s3/bucket:Bucket": _bucket,
    "aws:secretsmanager/secretVersion:SecretVersion": _secret_version,
    "aws:servicediscovery/privateDnsNamespace:PrivateDnsNamespace": lambda of: {
        "hostedZone": f"Z{digest(of, 13).upper()}"
    },
    "awsx:ec2:Vpc": mock_awsx.vpc,
    "awsx:ecr:Image": mock_awsx.image,
    "random:index/randomId:RandomId": lambda of: {"hex": digest(of, 8), "dec": str(int(digest(of, 8), 16))},
    "random:index/randomPassword:RandomPassword": _password,
    "random:index/randomString:RandomString": _password,
    "tls:index/certRequest:CertRequest": lambda of: {"certRequestPem": _pem("CERTIFICATE REQUEST", of)},
    "tls:index/locallySignedCert:LocallySignedCert": _signed,
    "tls:index/privateKey:PrivateKey": _private_key,
    "tls:index/selfSignedCert:SelfSignedCert": _signed,
}
