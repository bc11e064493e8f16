"""A stack's configuration: what is wrong is named with its key and value, and with what to do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from ipaddress import IPv4Network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from infra import addresses, cache_nodes, fargate, ports
from infra.settings import ConfigError, StackSettings, check_region, read
from tests.infra.graph import Graph
from tests.infra.program import COMBINATIONS, IMAGES, run

TIER = {"tier": "production"}
DOMAIN = {"domain": "a.example.com", "hostedZone": "Z0123456789ABC"}
TOPIC = "arn:aws:sns:us-east-1:123456789012:ops"
ELSEWHERE = {f"{service}Image": f"docker.io/x/{service}:1" for service in ("api", "autoscaler", "worker")}


def accepted(region: str = "", **values: str) -> StackSettings:
    return read(
        {f"tidegate:{key}": value for key, value in values.items()} | ({"aws:region": region} if region else {})
    )


def refused(region: str = "", **values: str) -> str:
    with pytest.raises(ConfigError) as caught:
        accepted(region, **values)
    return str(caught.value)


def many(count: int) -> str:
    """So many networks, which are next to each other and overlap with a last one."""
    return ",".join([*(f"10.{number}.0.0/16" for number in range(count - 1)), "10.0.0.0/8"])


def test_nothing_is_needed() -> None:
    found = read({"aws:region": "eu-west-1", "other:workersMax": "x"})
    assert found == StackSettings()
    assert (found.nat, found.api_min, found.cache_replicas) == ("single", 1, 0)


def test_production_has_other_defaults_which_can_be_overruled() -> None:
    found = accepted(tier="production", apiMin="3", nat="none")
    assert (found.nat, found.api_min, found.cache_replicas, found.log_days) == ("none", 3, 1, 90)


WRONG: list[tuple[dict[str, str], list[str]]] = [
    # Keys.
    ({"workerMax": "5"}, ["tidegate:workerMax is no setting", "did you mean tidegate:workersMax?"]),
    ({"worker_cpu": "512"}, ["tidegate:worker_cpu is no setting", "did you mean tidegate:workerCpu?"]),
    ({"WORKERSMAX": "5"}, ["tidegate:WORKERSMAX is no setting", "did you mean tidegate:workersMax?"]),
    ({"nat ": "none"}, ["tidegate:nat  is no setting", "did you mean tidegate:nat?"]),
    ({"xyzzy": "5"}, ["tidegate:xyzzy is no setting", "docs/configuration.md"]),
    # Numbers, choices and switches.
    ({"workersMax": "many"}, ["tidegate:workersMax is 'many'", "valid integer", "Workers at most"]),
    ({"workersMax": ""}, ["tidegate:workersMax is ''", "valid integer"]),
    ({"workersMax": "-1"}, ["tidegate:workersMax is '-1'", "greater than or equal to 1"]),
    ({"workersMax": "1" * 5000}, ["tidegate:workersMax is '111", "…:"]),
    ({"tier": "staging"}, ["tidegate:tier", "'development' or 'production'"]),
    ({"observeOnly": "maybe"}, ["tidegate:observeOnly is 'maybe'", "valid boolean"]),
    ({"workerThreads": "100000"}, ["tidegate:workerThreads is '100000'", "less than or equal to 256"]),
    ({"workerStorage": "20"}, ["tidegate:workerStorage is '20'", "Unset: 20"]),
    ({"queueMax": "1000000000000"}, ["tidegate:queueMax is '1000000000000'", "less than or equal to 100000000"]),
    ({"requestsPerTarget": "0"}, ["tidegate:requestsPerTarget is '0'"]),
    ({"requestsPerTarget": "99999999999"}, ["tidegate:requestsPerTarget is '99999999999'"]),
    ({"targetDuration": "inf"}, ["tidegate:targetDuration is 'inf'", "finite number"]),
    ({"targetDuration": "nan"}, ["tidegate:targetDuration is 'nan'", "finite number"]),
    ({"targetDuration": "1e-300"}, ["tidegate:targetDuration is '1e-300'", "greater than or equal to 1"]),
    ({"logDays": "15"}, ["logDays: 15", "14, 30"]),
    # Sizes and bounds.
    ({"workersMin": "30"}, ["workersMin: 30 is more than workersMax 20", "lower the one or raise the other"]),
    ({"apiMin": "9"}, ["apiMin: 9 is more than apiMax 8"]),
    ({"onDemandBase": "21"}, ["onDemandBase: 21 is more than workersMax 20"]),
    ({"onDemandBase": "2", "useSpot": "false"}, ["onDemandBase: 2 means nothing with useSpot false", "unset it"]),
    ({"workerCpu": "300"}, ["workerCpu", "no 300 CPU units", "256, 512"]),
    ({"workerMemory": "1024"}, ["workerMemory", "4096 to 16384 MiB in steps of 1024, not 1024"]),
    ({"schedulerMemory": "9000"}, ["schedulerMemory", "2048 to 8192"]),
    ({"workerProcesses": "101"}, ["tidegate:workerProcesses is '101'", "less than or equal to 100"]),
    (
        {"workerCpu": "256", "workerMemory": "512", "workerProcesses": "64"},
        ["workerProcesses: 64 have 8 MiB each of workerMemory 512", "take at most 4"],
    ),
    # The network.
    ({"vpcCidr": "10.0.0.0/8"}, ["vpcCidr: 10.0.0.0/8 is a /8", "/16 to /28"]),
    ({"vpcCidr": "10.0.0.0/24"}, ["vpcCidr: 10.0.0.0/24 is a /24", "up to /23"]),
    ({"vpcCidr": "10.0.0.1/16"}, ["tidegate:vpcCidr is '10.0.0.1/16'", "no IPv4 network: did you mean 10.0.0.0/16?"]),
    ({"vpcCidr": "2001:db8::/32"}, ["tidegate:vpcCidr is '2001:db8::/32'", "such as 10.0.0.0/16"]),
    ({"vpcCidr": "8.8.0.0/16"}, ["tidegate:vpcCidr is '8.8.0.0/16'", "not private", "172.16.0.0/12"]),
    ({"vpcCidr": "169.254.0.0/16"}, ["tidegate:vpcCidr is '169.254.0.0/16'", "not private"]),
    ({"zoneMask": "25"}, ["tidegate:zoneMask is '25'", "less than or equal to 24", "/27"]),
    ({"zoneMask": "26"}, ["tidegate:zoneMask is '26'", "less than or equal to 24", "/27"]),
    (
        {"availabilityZones": "4", "zoneMask": "17"},
        ["zoneMask", "room for 2 zones of /17", "availabilityZones is 4", "raise zoneMask"],
    ),
    (
        {"vpcCidr": "10.0.0.0/23", "zoneMask": "24", "workersMax": "250"},
        ["zoneMask: 2 private subnets of /25 have 246 addresses, and 282 are needed", "workersMax 250: 250", "lower"],
    ),
    (
        {"vpcCidr": "10.0.0.0/23", "zoneMask": "24", "workersMax": "215"},  # 214 just fit
        ["have 246 addresses, and 247 are needed", "apiMax 8, twice in a deployment: 16"],
    ),
    (
        {"vpcCidr": "10.0.0.0/22", "zoneMask": "24", "availabilityZones": "3", "workersMax": "320", "nat": "none"},
        ["have 369 addresses, and 373 are needed", "7 endpoints in each zone: 21"],
    ),
    ({"ingressCidrs": ""}, ["ingressCidrs: names no network", "set internal to true"]),
    ({"ingressCidrs": "[]"}, ["ingressCidrs: names no network"]),
    ({"ingressCidrs": "everywhere"}, ["tidegate:ingressCidrs is 'everywhere'", "such as 10.0.0.0/16"]),
    ({"ingressCidrs": "10.0.0.7/8"}, ["tidegate:ingressCidrs", "did you mean 10.0.0.0/8?"]),
    ({"ingressCidrs": "0.0.0.0"}, ["tidegate:ingressCidrs is '0.0.0.0'", "did you mean 0.0.0.0/0?"]),
    ({"ingressCidrs": "2001:db8::/32"}, ["tidegate:ingressCidrs", "no IPv4 network"]),
    ({"ingressCidrs": "[1"}, ["tidegate:ingressCidrs is '[1'", "not a list in JSON"]),
    ({"ingressCidrs": "[1]"}, ["tidegate:ingressCidrs is '[1]'", "not a list of texts"]),
    ({"ingressCidrs": '{"a":1}'}, ["""tidegate:ingressCidrs is '{"a":1}'"""]),
    ({"ingressCidrs": "10.0.0.0/8,10.0.0.0/8"}, ["tidegate:ingressCidrs", "10.0.0.0/8 is there twice", "once"]),
    ({"ingressCidrs": "10.0.0.0/8,10.0.0.0/255.0.0.0"}, ["10.0.0.0/8 is there twice"]),
    (
        {"workerEgressCidrs": '["10.0.0.0/8", "10.0.0.0/8"]'},
        ["tidegate:workerEgressCidrs", "10.0.0.0/8 is there twice"],
    ),
    ({"ingressCidrs": many(61)}, ["ingressCidrs: 61 networks", "60", "sum them up to 60 at most"]),
    ({"ingressCidrs": many(31), **DOMAIN}, ["ingressCidrs: 31 networks", "HTTPS", "sum them up to 30 at most"]),
    ({"workerEgressCidrs": many(56)}, ["workerEgressCidrs: 56 networks", "55 left of 60", "sum them up"]),
    ({"workerEgressCidrs": many(55), "sharedFiles": "true"}, ["workerEgressCidrs: 55 networks", "54 left of 60"]),
    # Images and what is in them.
    ({**IMAGES, "apiImage": "not a uri!!"}, ["tidegate:apiImage is 'not a uri!!'", "host/path:tag"]),
    ({**IMAGES, "workerImage": " "}, ["tidegate:workerImage is ' '", "host/path:tag"]),
    ({**IMAGES, "workerImage": "docker.io/Upper/x:1"}, ["tidegate:workerImage is 'docker.io/Upper/x:1'"]),
    ({**IMAGES, "workerImage": "a:1\n"}, ["tidegate:workerImage is 'a:1\\n'"]),
    ({**IMAGES, "workerImage": "a" * 256}, ["tidegate:workerImage is 'aaa", "at most 255"]),
    ({"apiImage": "a"}, ["apiImage: set, and autoscalerImage, workerImage not", "give all three"]),
    ({**IMAGES, "computations": "mine"}, ["computations: mine cannot get into apiImage", "unset it"]),
    ({**ELSEWHERE, "nat": "none"}, ["apiImage: docker.io/x/api:1 is not in ECR", "nat none", "set nat to single"]),
    ({"computations": "mine; rm -rf /"}, ["tidegate:computations", "'mine;' is no package", "mine==1.2"]),
    ({"computations": "mine\nother"}, ["tidegate:computations", "'mine\\nother' is no package"]),
    ({"computations": "$(id)"}, ["tidegate:computations is '$(id)'"]),
    ({"computations": "`id`"}, ["tidegate:computations is '`id`'"]),
    ({"computations": "mine|cat"}, ["tidegate:computations is 'mine|cat'"]),
    ({"computations": "mine>/tmp/x"}, ["tidegate:computations is 'mine>/tmp/x'"]),
    ({"computations": "--index-url=https://x"}, ["tidegate:computations is '--index-url=https://x'", "options"]),
    ({"computations": "mine >= 1.2"}, ["tidegate:computations is 'mine >= 1.2'", "spaces within"]),
    ({"computations": "mine@https://me:secret@host/x.whl"}, ["tidegate:computations is 'mine@https://me"]),
    ({"computations": " "}, ["tidegate:computations is ' '", "names no package"]),
    ({"computeModules": "not a module!"}, ["tidegate:computeModules is 'not a module!'", "services.compute.tasks"]),
    ({"computeModules": ",,"}, ["tidegate:computeModules is ',,'", "'' is no module's name"]),
    ({"computeModules": "services.compute.tasks,"}, ["tidegate:computeModules", "'' is no module's name"]),
    ({"computeModules": "mine.class"}, ["tidegate:computeModules", "'mine.class' is no module's name"]),
    ({"computeModules": "services.compute.tasks,services.compute.tasks"}, ["tidegate:computeModules", "twice"]),
    ({"computeModules": "services.compute.taks"}, ["there is no services.compute.taks in this repository"]),
    ({"computeModules": "mine"}, ["computeModules: mine will not be in the images", "set computations"]),
    # The API's name.
    ({"domain": "a.example.com"}, ["domain: a.example.com wants hostedZone", "set domain, hostedZone both"]),
    ({"hostedZone": "Z0123456789ABC"}, ["hostedZone: Z0123456789ABC wants domain", "set domain, hostedZone both"]),
    ({**DOMAIN, "hostedZone": "example.com"}, ["tidegate:hostedZone is 'example.com'", "no hosted zone's id"]),
    ({**DOMAIN, "domain": "Not A Domain"}, ["tidegate:domain is 'Not A Domain'", "such as compute.example.com"]),
    ({**DOMAIN, "domain": "https://a.example.com"}, ["tidegate:domain is 'https://a.example.com'", "without https"]),
    ({**DOMAIN, "domain": "A.example.com"}, ["tidegate:domain is 'A.example.com'", "lower case"]),
    ({**DOMAIN, "domain": "-a.example.com"}, ["tidegate:domain is '-a.example.com'"]),
    ({**DOMAIN, "domain": f"{'a' * 64}.example.com"}, ["tidegate:domain", "more than 63 characters", "shorten"]),
    ({**DOMAIN, "domain": f"{'a' * 53}.example.com"}, ["tidegate:domain", "65 characters", "64 at most", "shorten"]),
    ({**DOMAIN, "domain": f"{'aaaaaaaa.' * 28}co"}, ["tidegate:domain", "254 characters", "253 at most", "shorten"]),
    # The cache.
    ({"cacheNodeType": "cache.foo.bar"}, ["tidegate:cacheNodeType is 'cache.foo.bar'", "r7g"]),
    ({"cacheNodeType": "r7g.large"}, ["tidegate:cacheNodeType is 'r7g.large'", "did you mean cache.r7g.large?"]),
    ({"cacheNodeType": "cache.r7g.huge"}, ["tidegate:cacheNodeType is 'cache.r7g.huge'", "r7g has the sizes large"]),
    ({"cacheNodeType": "cache.t4g.large"}, ["tidegate:cacheNodeType is 'cache.t4g.large'", "micro, small, medium"]),
    ({"cacheNodeType": "cache.m1.small"}, ["tidegate:cacheNodeType is 'cache.m1.small'", "new caches cannot have"]),
    ({"cacheNodeType": "cache.t2.micro"}, ["tidegate:cacheNodeType is 'cache.t2.micro'", "t4g"]),
    ({"cacheNodeType": "cache.r6gd.xlarge"}, ["tidegate:cacheNodeType is 'cache.r6gd.xlarge'", "tiers data"]),
    # Alarms.
    ({"alarmEmail": "ops"}, ["tidegate:alarmEmail is 'ops'", "ops@example.com"]),
    ({"alarmEmail": "a@b..co"}, ["tidegate:alarmEmail is 'a@b..co'"]),
    ({"alarmEmail": "ops@example.com\n"}, ["tidegate:alarmEmail is 'ops@example.com\\n'"]),
    ({"alarmTopic": "ops"}, ["tidegate:alarmTopic is 'ops'", "arn:aws:sns:"]),
    ({"alarmTopic": f"{TOPIC}.fifo"}, ["tidegate:alarmTopic", "no FIFO"]),
    ({"alarmTopic": TOPIC.replace("1234", "１２３４")}, ["tidegate:alarmTopic", "no SNS topic's ARN"]),  # other digits
    ({"alarmEmail": "a@b.co", "alarmTopic": TOPIC}, ["alarmEmail, alarmTopic", "a@b.co", TOPIC]),
    # Production.
    ({**TIER, "apiMin": "1"}, ["apiMin: 1 is too few for tier production", "2 or more", "raise it"]),
    ({**TIER, "cacheReplicas": "0"}, ["cacheReplicas: 0 is too few for tier production", "1 or more"]),
    ({**TIER, "cacheSnapshotDays": "0"}, ["cacheSnapshotDays: 0 is too few for tier production", "1 or more"]),
]


@pytest.mark.parametrize(("values", "said"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_named(values: dict[str, str], said: list[str]) -> None:
    message = refused(**values)
    assert "\n  tidegate:" in message
    for part in [*said, "pulumi config set"]:
        assert part in message


@pytest.mark.parametrize(
    "values",
    [
        {"ingressCidrs": " 10.0.0.0/8 , 10.1.0.0/16 "},  # AWS takes rules that overlap
        {"ingressCidrs": '["10.0.0.0/8", "192.0.2.7"]'},
        {"ingressCidrs": many(60)},
        {"ingressCidrs": many(30), **DOMAIN},
        {"workerEgressCidrs": many(55)},
        {"workerEgressCidrs": many(54), "sharedFiles": "true"},
        {"vpcCidr": "100.64.0.0/16"},
        {"vpcCidr": "10.0.0.0/23", "zoneMask": "24", "workersMax": "214"},
        {"workerProcesses": "100", "workerMemory": "16384"},
        {"computations": "mine==1.2"},
        {"computations": "mine[fast,more]>=1.2,<2 other~=1.0 third==1.* mine-two===1.0+local"},
        {"computations": "mine@https://host.example/mine-1.2-py3-none-any.whl#sha256=" + "0" * 64},
        {"computations": "mine", "computeModules": " services.compute.tasks , mine.computations "},
        {**ELSEWHERE, "computeModules": "mine"},
        {**IMAGES, "workerImage": "localhost:5000/a__b/c.d-e:Tag_1@sha256:" + "0" * 64},
        {**DOMAIN, "domain": "a.xn--p1ai"},
        {**DOMAIN, "domain": f"{'a' * 52}.example.com"},
        {"alarmTopic": "arn:aws-us-gov:sns:us-gov-west-1:123456789012:ops"},
        {**TIER, "useSpot": "false"},
        {"useSpot": "false", "onDemandBase": "0"},
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_right_is_taken(values: dict[str, str]) -> None:
    accepted(**values)


def test_lists_are_put_into_one_form() -> None:
    found = accepted(
        computations="mine==1.2  other", computeModules=" services.compute.tasks , mine", ingressCidrs="10.0.0.0/8,"
    )
    assert (found.computations, found.compute_modules) == ("mine==1.2 other", "services.compute.tasks,mine")
    assert found.ingress_cidrs == (IPv4Network("10.0.0.0/8"),)


def test_all_that_is_wrong_is_named_at_once() -> None:
    message = refused(workersMin="30", logDays="15", domain="a.example.com", tier="production", apiMin="1")
    assert message.count("tidegate:") == 4
    message = refused(workersMin="x", logDays="y", workerMax="5")
    assert message.count("\n  tidegate:") == 3


# What depends on the region.


def test_without_nat_images_are_in_the_regions_own_registry() -> None:
    message = refused("us-east-1", nat="none", **IMAGES)
    assert message.count("is in eu-west-1, which tasks in us-east-1 cannot reach with nat none") == 3
    assert "tidegate:apiImage: 210987654321.dkr.ecr.eu-west-1" in message
    assert "copy it to ECR in us-east-1, or set nat to single" in message
    accepted("eu-west-1", nat="none", **IMAGES)
    accepted("us-east-1", **IMAGES)
    china = {
        key: image.replace("eu-west-1.amazonaws.com", "cn-north-1.amazonaws.com.cn") for key, image in IMAGES.items()
    }
    accepted("cn-north-1", nat="none", **china)


def test_alarms_go_to_a_topic_of_their_region() -> None:
    message = refused("eu-west-1", alarmTopic=TOPIC)
    assert f"tidegate:alarmTopic: {TOPIC} is in us-east-1, and alarms in eu-west-1 reach topics there only" in message
    assert "alarmEmail instead" in message
    accepted("us-east-1", alarmTopic=TOPIC)


def test_a_region_that_pulumi_alone_knows_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="alarmTopic"):
        check_region(accepted(alarmTopic=TOPIC), "eu-west-1")
    unset = {"region": ""}  # the recorded provider is in us-east-1 all the same
    run({"alarmTopic": TOPIC}, aws=unset)
    with pytest.raises(SystemExit):
        run({"alarmTopic": TOPIC.replace("us-east-1", "eu-west-1")}, aws=unset)


# Tables.


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


def test_node_types_are_those_that_aws_sells() -> None:
    """By AWS's price list, as cfn-lint has it by region."""
    table = resources.files("cfnlint.data.schemas.extensions.aws_elasticache_cachecluster") / "cachenodetype_enum.json"
    regions = [each for each in json.loads(table.read_text()).values() if isinstance(each, dict)]
    sold = {node for each in regions for node in each["enum"] if node.split(".")[1] not in cache_nodes.REFUSED}
    ours = {f"cache.{family}.{size}" for family, sizes in cache_nodes.SIZES.items() for size in sizes}
    assert ours == sold
    assert all(accepted(cacheNodeType=node).cache_node_type == node for node in ours)


# What the program makes, against what the settings count.


def rules(graph: Graph) -> Counter[tuple[str, str]]:
    """Rules of each security group, each way."""
    kinds = ("Ingress", "Egress")
    return Counter(
        (each.inputs["securityGroupId"], kind)
        for kind in kinds
        for each in graph.of(f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule")
    )


@pytest.mark.parametrize(
    "chosen",
    [
        {"workerEgressCidrs": many(55)},
        {"workerEgressCidrs": many(54), "sharedFiles": "true"},
        {"workerEgressCidrs": many(55), "nat": "none"},
        {"ingressCidrs": many(60)},
        {"ingressCidrs": many(30), **DOMAIN},
    ],
    ids=lambda value: ", ".join(value),
)
def test_the_fullest_security_group_is_just_full(chosen: Mapping[str, str]) -> None:
    assert max(rules(run(chosen)).values()) == 60


@pytest.mark.parametrize("name", ["production", "no NAT", "no NAT, no quotas endpoint, everything on", "internal"])
def test_addresses_are_counted_for_all_that_is_made(name: str) -> None:
    graph, found = run(COMBINATIONS[name]), accepted(**COMBINATIONS[name])
    zones = found.availability_zones
    services = graph.of("aws:ecs/service:Service")
    api, others = found.api_max, len(services) - 1
    (group,) = graph.of("aws:elasticache/replicationGroup:ReplicationGroup")
    wanted = 2 * (api + others + group.inputs["numCacheClusters"]) + found.workers_max + addresses.SURGE
    wanted += zones * len(graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")) + len(graph.of("MountTarget"))
    wanted += zones * 8 * bool(graph.one("aws:lb/loadBalancer:LoadBalancer").inputs["internal"])
    assert sum(count for _, count in addresses.taken(found)) == wanted
    assert "ROLLOUT_SURGE" not in str(graph.of("aws:ecs/taskDefinition:TaskDefinition")), (
        "the default is what is counted"
    )


# Whatever is accepted.

SOME = {
    "tier": st.sampled_from(["development", "production"]),
    "nat": st.sampled_from(["none", "single", "per-zone"]),
    "serviceQuotasEndpoint": st.sampled_from(["true", "false"]),
    "internal": st.sampled_from(["true", "false"]),
    "sharedFiles": st.sampled_from(["true", "false"]),
    "availabilityZones": st.integers(1, 7).map(str),
    "zoneMask": st.integers(16, 27).map(str),
    "vpcCidr": st.integers(15, 25).map(lambda prefix: f"10.0.0.0/{prefix}"),
    "workersMax": st.one_of(st.integers(0, 300), st.integers(0, 12_000)).map(str),
    "apiMin": st.integers(0, 4).map(str),
    "apiMax": st.integers(0, 210).map(str),
    "cacheReplicas": st.integers(-1, 6).map(str),
    "cacheSnapshotDays": st.integers(-1, 36).map(str),
    "workerProcesses": st.integers(0, 120).map(str),
    "targetDuration": st.floats().map(str),
    "ingressCidrs": st.integers(1, 70).map(many),
    "workerEgressCidrs": st.integers(1, 70).map(many),
    "domain": st.sampled_from(["a.example.com", f"{'a' * 60}.example.com"]),
    "hostedZone": st.just("Z0123456789ABC"),
}


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, str]:
    """Some keys, so that many are accepted, each with values on both sides of its bounds."""
    keys = draw(st.lists(st.sampled_from(sorted(SOME)), max_size=7, unique=True))
    return {key: draw(SOME[key]) for key in keys}


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(stacks())
def test_whatever_is_accepted_fits(chosen: dict[str, str]) -> None:
    try:
        found = accepted(**chosen)
    except ConfigError:
        return
    zones, given_ = found.availability_zones, chosen.get
    public, private = 32 - found.public_mask, 32 - found.private_mask
    assert 2**public >= 32, "a load balancer wants a /27"
    assert 2**public + 2**private <= 2 ** (32 - found.zone_mask)
    assert zones * 2 ** (32 - found.zone_mask) <= found.vpc_cidr.num_addresses
    endpoints = (6 + (given_("serviceQuotasEndpoint") != "false")) if given_("nat") == "none" else 0
    each_zone = endpoints + 8 * (given_("internal") == "true") + (given_("sharedFiles") == "true")
    moving = found.workers_max + 10 + 2 * (found.api_max + 2 + 1 + (found.cache_replicas or 0))
    assert zones * each_zone + moving <= zones * (2**private - 5)
    assert found.worker_processes <= 1 + ports.WORKERS[1] - ports.WORKERS[0]
    assert 1 <= found.target_duration <= 3600
    assert len(found.ingress_cidrs) * (2 if found.domain else 1) <= 60
    assert len(found.worker_egress_cidrs) + 5 + found.shared_files <= 60
    if found.production:
        assert (found.api_min or 0) >= 2
        assert (found.cache_replicas or 0) >= 1
        assert (found.cache_snapshot_days or 0) >= 1
    assert found.workers_min <= found.workers_max
    assert (found.api_min or 1) <= found.api_max
