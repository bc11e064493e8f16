"""A stack's configuration: what is wrong is named with its key, and with what to do."""

from __future__ import annotations

import pytest
from pydantic.alias_generators import to_camel

from infra import fargate
from infra.settings import ConfigError, StackSettings, read


def refused(**values: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read({f"tidegate:{key}": value for key, value in values.items()})
    return str(caught.value)


def test_nothing_is_needed() -> None:
    settings = read({"aws:region": "eu-west-1", "other:workersMax": "x"})
    assert settings == StackSettings()
    assert (settings.nat, settings.api_min, settings.cache_replicas) == ("single", 1, 0)


def test_production_has_other_defaults_which_can_be_overruled() -> None:
    settings = read({"tidegate:tier": "production", "tidegate:apiMin": "3", "tidegate:nat": "none"})
    assert (settings.nat, settings.api_min, settings.cache_replicas, settings.log_days) == ("none", 3, 1, 90)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workerMax": "5"}, ["tidegate:workerMax is no setting", "did you mean tidegate:workersMax?"]),
        ({"xyzzy": "5"}, ["tidegate:xyzzy is no setting", "docs/configuration.md"]),
        ({"workersMax": "many"}, ["tidegate:workersMax is 'many'", "valid integer", "Workers at most"]),
        ({"tier": "staging"}, ["tidegate:tier", "'development' or 'production'"]),
        ({"workersMin": "30"}, ["workersMin: 30 is more than workersMax 20", "lower the one or raise the other"]),
        ({"apiMin": "9"}, ["apiMin: 9 is more than apiMax 8"]),
        ({"onDemandBase": "21"}, ["onDemandBase: 21 is more than workersMax 20"]),
        ({"workerCpu": "300"}, ["workerCpu", "no 300 CPU units", "256, 512"]),
        ({"workerMemory": "1024"}, ["workerMemory", "4096 to 16384 MiB in steps of 1024, not 1024"]),
        ({"schedulerMemory": "9000"}, ["schedulerMemory", "2048 to 8192"]),
        ({"domain": "a.example.com"}, ["domain, hostedZone: set both"]),
        ({"hostedZone": "Z0123456789ABC"}, ["domain, hostedZone: set both"]),
        ({"domain": "Not A Domain"}, ["tidegate:domain is 'Not A Domain'"]),
        ({"vpcCidr": "10.0.0.0/8"}, ["vpcCidr: 10.0.0.0/8 is a /8"]),
        ({"vpcCidr": "10.0.0.1/16"}, ["tidegate:vpcCidr is '10.0.0.1/16'", "not a valid IPv4 network"]),
        (
            {"availabilityZones": "4", "zoneMask": "17"},
            ["zoneMask", "room for 2 zones of /17", "availabilityZones is 4"],
        ),
        (
            {"vpcCidr": "10.0.0.0/23", "zoneMask": "24", "workersMax": "250"},
            ["zoneMask: private subnets of /25", "250"],
        ),
        (
            {"vpcCidr": "10.0.0.0/23", "zoneMask": "24", "workersMax": "205", "nat": "none", "internal": "true"},
            ["zoneMask: private subnets of /25", "205"],
        ),
        ({"zoneMask": "25"}, ["tidegate:zoneMask is '25'"]),
        ({"tier": "production", "apiMin": "1"}, ["apiMin: 1 is too few for production"]),
        ({"tier": "production", "cacheReplicas": "0"}, ["production keeps a replica and snapshots"]),
        ({"tier": "production", "cacheSnapshotDays": "0"}, ["production keeps a replica and snapshots"]),
        ({"ingressCidrs": "10.0.0.0/8,10.0.0.0/8"}, ["tidegate:ingressCidrs", "twice"]),
        ({"workerEgressCidrs": ",".join(f"10.{n}.0.0/16" for n in range(26))}, ["tidegate:workerEgressCidrs", "26"]),
        ({"ingressCidrs": ""}, ["ingressCidrs: nobody could reach"]),
        ({"workerProcesses": "101"}, ["tidegate:workerProcesses is '101'"]),
        ({"computeModules": "not a module!"}, ["tidegate:computeModules is 'not a module!'"]),
        ({"computeModules": ",,"}, ["tidegate:computeModules is ',,'"]),
        ({"computations": "mine; rm -rf /"}, ["tidegate:computations"]),
        ({"computations": "mine\nother"}, ["tidegate:computations"]),
        (
            {"apiImage": "not a uri!!", "autoscalerImage": "b", "workerImage": "c"},
            ["tidegate:apiImage is 'not a uri!!'"],
        ),
        ({"cacheNodeType": "cache.foo.bar"}, ["tidegate:cacheNodeType is 'cache.foo.bar'"]),
        ({"cacheNodeType": "cache.r6gd.xlarge"}, ["tidegate:cacheNodeType is 'cache.r6gd.xlarge'"]),
        ({"targetDuration": "inf"}, ["tidegate:targetDuration is 'inf'"]),
        (
            {"domain": f"{'a' * 62}.example.com", "hostedZone": "Z0123456789ABC"},
            ["domain: certificates take 64 characters"],
        ),
        ({"apiImage": "a"}, ["apiImage, autoscalerImage, workerImage: give all three"]),
        (
            {"apiImage": "a", "autoscalerImage": "b", "workerImage": "c", "computations": "mine"},
            ["computations: given images are not built"],
        ),
        ({"logDays": "15"}, ["logDays: 15", "14, 30"]),
        ({"alarmEmail": "a@b.co", "alarmTopic": "arn:aws:sns:us-east-1:123456789012:x"}, ["alarmEmail, alarmTopic"]),
        ({"cacheNodeType": "cache.t2.micro"}, ["cacheNodeType: cache.t2.micro has no TLS"]),
        ({"ingressCidrs": "everywhere"}, ["tidegate:ingressCidrs"]),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, str], said: list[str]) -> None:
    message = refused(**values)
    for part in [*said, "pulumi config set"]:
        assert part in message


def test_all_that_is_wrong_is_named_at_once() -> None:
    message = refused(workersMin="30", logDays="15", domain="a.example.com")
    assert message.count("tidegate:") == 3


def test_every_key_has_a_description_and_is_its_name_in_camel_case() -> None:
    for name, field in StackSettings.model_fields.items():
        assert field.description, name
        assert field.alias == to_camel(name)


@pytest.mark.parametrize("cpu", fargate.SIZES)
def test_fargates_pairs(cpu: int) -> None:
    for memory in fargate.SIZES[cpu]:
        assert fargate.size_problem(cpu, memory) is None
    assert fargate.size_problem(cpu, fargate.SIZES[cpu][0] - 256)
    assert fargate.size_problem(cpu, fargate.SIZES[cpu][-1] + 1024)
