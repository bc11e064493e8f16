"""What two or more settings together get wrong. A problem begins with the keys that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic.alias_generators import to_camel

from infra import addresses, fargate, policies

if TYPE_CHECKING:
    from infra.settings import StackSettings

ROOT: Final = Path(__file__).parents[1]
COMPUTATIONS: Final = "services.compute"
"""What images hold that are built here, of all packages that may have computations."""
RULES: Final = 60
"""Of a security group, each way: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html."""
WORKER_RULES: Final = 5
"""Ways out that each worker has by itself: scheduler, cache, other workers, S3, AWS."""
PROCESS_MIB: Final = 128
"""A worker process takes 95 as it starts, and 160 once it has imported pandas."""


def problems(settings: StackSettings) -> Iterator[str]:
    """What is wrong with settings that are each right by themselves."""
    yield from _network(settings)
    yield from _rules(settings)
    yield from _images(settings)
    yield from _sizes(settings)
    yield from _fleet(settings)
    yield from _rest(settings)
    if settings.production:
        yield from _production(settings)


def of_region(settings: StackSettings, region: str) -> Iterator[str]:
    """What cannot be in this region."""
    if settings.nat == "none":
        for key, image in given_images(settings).items():
            arn = policies.repository_arn(image, "aws")
            if arn is not None and (theirs := arn.split(":")[3]) != region:
                yield (
                    f"{key}: {image} is in {theirs}, which tasks in {region} cannot reach with nat none: copy it to "
                    f"ECR in {region}, or set nat to single"
                )
    if settings.alarm_topic and (theirs := settings.alarm_topic.split(":")[3]) != region:
        yield (
            f"alarmTopic: {settings.alarm_topic} is in {theirs}, and alarms in {region} reach topics there only: name "
            "one of this region, or set alarmEmail instead"
        )


def given_images(settings: StackSettings) -> dict[str, str]:
    """Images that are not built here, by key."""
    images = {name: getattr(settings, name) for name in ("api_image", "autoscaler_image", "worker_image")}
    return {to_camel(name): image for name, image in images.items() if image is not None}


def _network(settings: StackSettings) -> Iterator[str]:
    cidr, prefix, mask = settings.vpc_cidr, settings.vpc_cidr.prefixlen, settings.zone_mask
    zones = 2 ** (mask - prefix) if mask >= prefix else 0
    if not 16 <= prefix <= 23:
        yield f"vpcCidr: {cidr} is a /{prefix}: AWS takes /16 to /28, and this stack up to /23: take another size"
    elif zones < settings.availability_zones:
        yield (
            f"zoneMask: {cidr} has room for {zones} zones of /{mask}, and availabilityZones is "
            f"{settings.availability_zones}: raise zoneMask, or take a larger vpcCidr"
        )
    elif problem := addresses.problem(settings):
        yield problem


def _rules(settings: StackSettings) -> Iterator[str]:
    ingress, egress = settings.ingress_cidrs, settings.worker_egress_cidrs
    if not ingress:
        yield (
            "ingressCidrs: names no network, so nobody could reach the API: name some, or unset it; for an API that is "
            "reached from within the network only, set internal to true"
        )
    listeners = 2 if settings.domain else 1
    if len(ingress) * listeners > RULES:
        ports = " for HTTP and as many for HTTPS" if settings.domain else ""
        yield (
            f"ingressCidrs: {len(ingress)} networks need a rule each{ports}, and a security group has {RULES}: sum "
            f"them up to {RULES // listeners} at most"
        )
    free = RULES - WORKER_RULES - settings.shared_files
    if len(egress) > free:
        yield (
            f"workerEgressCidrs: {len(egress)} networks need a rule each, and the workers' security group has {free} "
            f"left of {RULES}: sum them up"
        )


def _images(settings: StackSettings) -> Iterator[str]:
    given = given_images(settings)
    missing = {"apiImage", "autoscalerImage", "workerImage"} - given.keys()
    if given and missing:
        yield (
            f"{', '.join(given)}: set, and {', '.join(sorted(missing))} not: give all three images, or none to have "
            "them built"
        )
    if given and settings.computations:
        yield (
            f"computations: {settings.computations} cannot get into {', '.join(given)}, which are not built here: put "
            "it into them, and unset it"
        )
    if settings.nat == "none":
        for key, image in given.items():
            if policies.repository_arn(image, "aws") is None:
                yield (
                    f"{key}: {image} is not in ECR, which is all that tasks can reach with nat none: copy it to ECR in "
                    "the stack's region, or set nat to single"
                )
    if not given:
        yield from _modules(settings)


def _modules(settings: StackSettings) -> Iterator[str]:
    """Modules that will not be in images that are built: the services would end as they start."""
    for name in settings.compute_modules.split(","):
        if name == COMPUTATIONS or name.startswith(f"{COMPUTATIONS}."):
            path = ROOT.joinpath(*name.split("."))
            if not (path / "__init__.py").is_file() and not path.with_suffix(".py").is_file():
                yield f"computeModules: there is no {name} in this repository: name a module that is, or write it"
        elif not settings.computations:
            yield (
                f"computeModules: {name} will not be in the images: set computations to the package that has it, or "
                f"name modules of {COMPUTATIONS}.tasks only"
            )


def _sizes(settings: StackSettings) -> Iterator[str]:
    for part in ("scheduler", "worker", "api"):
        if problem := fargate.size_problem(getattr(settings, f"{part}_cpu"), getattr(settings, f"{part}_memory")):
            yield f"{part}Cpu, {part}Memory: {problem}"
    for low, high in (("workers_min", "workers_max"), ("api_min", "api_max"), ("on_demand_base", "workers_max")):
        if getattr(settings, low) > getattr(settings, high):
            yield (
                f"{to_camel(low)}: {getattr(settings, low)} is more than {to_camel(high)} {getattr(settings, high)}: "
                "lower the one or raise the other"
            )


def _fleet(settings: StackSettings) -> Iterator[str]:
    processes = settings.worker_memory // PROCESS_MIB
    if settings.worker_processes > max(1, processes):
        each = settings.worker_memory // settings.worker_processes
        yield (
            f"workerProcesses: {settings.worker_processes} have {each} MiB each of workerMemory "
            f"{settings.worker_memory}, and need {PROCESS_MIB} to start: take at most {processes}, or more memory"
        )
    if settings.on_demand_base and not settings.use_spot:
        yield (
            f"onDemandBase: {settings.on_demand_base} means nothing with useSpot false, where all workers run on "
            "demand: unset it, or set useSpot to true"
        )


def _production(settings: StackSettings) -> Iterator[str]:
    least = {
        "api_min": (2, "so that one API task may fail"),
        "cache_replicas": (1, "so that a node of the cache may fail"),
        "cache_snapshot_days": (1, "so that what the cache held can be had again"),
    }
    for name, (count, why) in least.items():
        if getattr(settings, name) < count:
            yield (
                f"{to_camel(name)}: {getattr(settings, name)} is too few for tier production, which has {count} or "
                f"more, {why}: raise it, unset it, or set tier to development"
            )


def _rest(settings: StackSettings) -> Iterator[str]:
    for one, other in (("domain", "hosted_zone"), ("hosted_zone", "domain")):
        if getattr(settings, one) and not getattr(settings, other):
            yield (
                f"{to_camel(one)}: {getattr(settings, one)} wants {to_camel(other)} beside it: set domain, hostedZone "
                "both (HTTPS under a name of yours) or none (HTTP)"
            )
    if settings.alarm_email and settings.alarm_topic:
        yield (
            f"alarmEmail, alarmTopic: alarms go to one of {settings.alarm_email} and {settings.alarm_topic}: unset the "
            "other"
        )
