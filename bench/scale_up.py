"""`python -m bench.scale_up`: AWS calls and wall time from 1 to 100 workers, ours beside dask-cloudprovider's.

Both sides are processes of their own that speak to one moto server in this one, which counts the calls that arrive
while workers go from 1 to 100 and all of them run. Ours: launches of ten and a look at the fleet. The reference:
`dask_cloudprovider.aws.FargateCluster` attached to a scheduler (`scheduler_address`), with everything given that it
would otherwise create. It is installed into a throwaway environment; without a package index only our side is
measured. Moto starts tasks at once, so that the times are those of calls, not of Fargate.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.environment import environment

ROOT = Path(__file__).parent.parent
REGION = "eu-central-1"
ACCOUNT_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
MARK = "/count-from-here"
SIDE_S = 600


class Counting:
    """A WSGI application that counts the AWS calls it passes on; a GET of `MARK` closes a count and opens the next."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.counts: list[Counter[str]] = [Counter()]

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environment["PATH_INFO"] == MARK:
            with self._lock:
                self.counts.append(Counter())
            start("200 OK", [("Content-Length", "0")])
            return [b""]
        target = str(environment.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
        if not target:
            body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
            environment["wsgi.input"] = io.BytesIO(body)
            target = urllib.parse.parse_qs(body.decode()).get("Action", ["?"])[0]
        with self._lock:  # moto answers one call at a time, or fails over dictionaries that change under it
            self.counts[-1][target] += 1
            return self._application(environment, start)


@contextmanager
def moto() -> Iterator[tuple[str, Counting]]:
    """Serve moto on 127.0.0.1, with tasks that stay as they are; yields its address and the counter."""
    from moto.moto_api import state_manager
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object, **__: object) -> None:
            return

    counting = Counting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counting, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1_000_000})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", counting
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        state_manager.unset_transition("ecs::task")


def prepare(url: str) -> dict[str, str]:
    """Make network, cluster and task definition; return their names."""
    import boto3

    session = boto3.Session("testing", "testing", region_name=REGION)
    ec2, ecs = session.client("ec2", endpoint_url=url), session.client("ecs", endpoint_url=url)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    ecs.put_account_setting(name="taskLongArnFormat", value="enabled")
    definition = ecs.register_task_definition(
        family="dask-worker",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="1024",
        memory="2048",
        containerDefinitions=[{"name": "dask-worker", "image": "image", "cpu": 1024, "memory": 2048}],
    )
    made = {
        "cluster": ecs.create_cluster(clusterName=f"bench-{uuid.uuid4().hex}")["cluster"]["clusterArn"],
        "definition": definition["taskDefinition"]["taskDefinitionArn"],
        "role": "arn:aws:iam::123456789012:role/worker",
        "vpc": vpc,
        "subnet": ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"],
        "security-group": ec2.create_security_group(GroupName="workers", Description="workers", VpcId=vpc)["GroupId"],
    }
    ec2.close()
    ecs.close()
    return made


def ours(workers: int, reset: str) -> None:
    """Our side, in its own process: settings and endpoint come from the environment."""
    from services.autoscaler.fleet.ecs import open_ecs_fleet
    from services.autoscaler.model import Capacity, Launch, Phase
    from services.autoscaler.settings import EcsSettings

    fleet = open_ecs_fleet(EcsSettings())

    def launch(count: int) -> None:
        fleet.launch(Launch(uuid.uuid4().hex, count, Capacity.SPOT, fleet.revision, time.time()))

    launch(1)
    fleet.observe()
    urllib.request.urlopen(reset, timeout=10).close()
    began = time.perf_counter()
    missing = workers - 1
    while missing:
        launch(min(missing, fleet.launch_max))
        missing -= min(missing, fleet.launch_max)
    while sum(machine.phase is Phase.RUNNING for machine in fleet.observe().machines) < workers:
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    urllib.request.urlopen(reset, timeout=10).close()
    fleet.close()
    print(json.dumps({"seconds": seconds}), flush=True)


def measure(command: list[str], environment: dict[str, str], counting: Counting) -> tuple[float, Counter[str]]:
    """Run one side; return its seconds and the calls that arrived meanwhile."""
    before = len(counting.counts)
    answer = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SIDE_S
    )
    if answer.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{answer.stderr[-4000:]}")
    return float(json.loads(answer.stdout.splitlines()[-1])["seconds"]), counting.counts[before]


def report(name: str, rounds: list[tuple[float, Counter[str]]]) -> None:
    """Print a side's median time and its calls."""
    seconds = sorted(seconds for seconds, _ in rounds)[len(rounds) // 2]
    calls = rounds[-1][1]
    detail = ", ".join(f"{operation} {count}" for operation, count in calls.most_common())
    print(f"| {name} | {calls.total()} | {calls['RunTask']} | {seconds:.2f} | {detail} |", flush=True)


def sides(
    made: dict[str, str], url: str, workers: int, python: Path | None
) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Commands and environments of the sides."""
    base = {"PATH": os.environ.get("PATH", ""), "AWS_ENDPOINT_URL": url, **ACCOUNT_ENVIRONMENT}
    own = {
        **base,
        "ECS_CLUSTER": made["cluster"],
        "WORKER_TASK_DEFINITION": made["definition"],
        "WORKER_SUBNETS": made["subnet"],
        "WORKER_SECURITY_GROUPS": made["security-group"],
    }
    count = ["--workers", str(workers)]
    found = {"Tidegate": ([sys.executable, "-m", "bench.scale_up", *count, "--side", f"{url}{MARK}"], own)}
    if python is not None:
        script = [str(python), str(Path(__file__).with_name("scale_up_reference.py"))]
        options = [part for name, value in made.items() for part in (f"--{name}", value)]
        found["dask-cloudprovider"] = ([*script, *options, *count, "--reset", f"{url}{MARK}"], base)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale_up", description=__doc__)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", metavar="URL", help="be our side, and GET this address around what is measured")
    arguments = parser.parse_args()
    if arguments.side:
        ours(arguments.workers, arguments.side)
        return
    with tempfile.TemporaryDirectory(prefix="scale-up-") as directory:
        python = environment(Path(directory), "dask-cloudprovider[aws]")
        results: dict[str, list[tuple[float, Counter[str]]]] = {}
        for _ in range(arguments.rounds):
            with moto() as (url, counting):
                for name, (command, variables) in sides(prepare(url), url, arguments.workers, python).items():
                    results.setdefault(name, []).append(measure(command, variables, counting))
    print(f"From 1 to {arguments.workers} workers, median of {arguments.rounds} rounds:\n")
    print("| side | calls | of these RunTask | seconds | calls by operation (last round) |\n|---|---|---|---|---|")
    for name, rounds in results.items():
        report(name, rounds)


if __name__ == "__main__":
    main()
