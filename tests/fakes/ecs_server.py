"""The fake ECS over HTTP on 127.0.0.1, for real processes with real boto3: set AWS_ENDPOINT_URL to its address.

Speaks AWS JSON 1.1 for ECS and Service Quotas, answers STS's GetCallerIdentity, and serves the task metadata endpoint,
version 4, under `/v4/<task id>`.
"""

from __future__ import annotations

import json
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError

from tests.fakes.ecs import FakeEcs
from tests.fakes.ecs_task import ACCOUNT, ON_DEMAND, FakeTask
from tests.fakes.quotas import FakeQuotas

METHODS = {
    "AmazonEC2ContainerServiceV20141113.RunTask": "run_task",
    "AmazonEC2ContainerServiceV20141113.StopTask": "stop_task",
    "AmazonEC2ContainerServiceV20141113.ListTasks": "list_tasks",
    "AmazonEC2ContainerServiceV20141113.DescribeTasks": "describe_tasks",
    "AmazonEC2ContainerServiceV20141113.DescribeServices": "describe_services",
    "ServiceQuotasV20190624.GetServiceQuota": "get_service_quota",
}
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/testing</Arn><UserId>AIDAEXAMPLE</UserId><Account>{ACCOUNT}</Account>"
    "</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
)


class EcsServer:
    """Serves a fake from construction until `close`.

    Args:
        fake: the service.
        quotas: Service Quotas; None: a fake with AWS's defaults.
        address: host and port; port 0 for any.
    """

    def __init__(
        self, fake: FakeEcs, quotas: FakeQuotas | None = None, address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.fake = fake
        self.quotas = quotas or FakeQuotas()
        self._server = _Server(self, address)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-ecs", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address for AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def metadata_url(self, task: str) -> str:
        """ECS_CONTAINER_METADATA_URI_V4 of a task."""
        return f"{self.url}/v4/{task}"

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server, and nothing else of AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: EcsServer, address: tuple[str, int]) -> None:
        self.owner = owner
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"Action=GetCallerIdentity" in body:
            self._send(200, "text/xml", IDENTITY.encode())
            return
        target = self.headers.get("X-Amz-Target", "")
        method = METHODS.get(target)
        if method is None:
            self._answer(400, {"__type": "UnknownOperationException", "message": target})
            return
        owner = self.server.owner
        service = owner.quotas if method == "get_service_quota" else owner.fake
        try:
            answer = getattr(service, method)(**json.loads(body or b"{}"))
        except ParamValidationError as error:
            self._answer(400, {"__type": "InvalidParameterException", "message": str(error)})
        except ClientError as error:
            said = dict(error.response)
            about = said.pop("Error")
            status = said.pop("ResponseMetadata")["HTTPStatusCode"]
            self._answer(status, {"__type": about["Code"], "message": about["Message"], **said})
        except HTTPClientError:  # the answer is lost
            self.close_connection = True
        else:
            answer.pop("ResponseMetadata", None)
            self._answer(200, answer)

    def do_GET(self) -> None:
        _, version, name, *rest = [*self.path.split("/"), "", ""]
        fake = self.server.owner.fake
        fake.advance()
        task = fake.tasks.get(name) if version == "v4" else None
        if task is None or rest[0] not in {"", "task"}:
            self._answer(404, {"message": f"no metadata at {self.path}"})
        else:
            self._answer(200, _container_metadata(task) if rest[0] == "" else _task_metadata(task))

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self._send(status, "application/x-amz-json-1.1", json.dumps(body, default=_plain).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _plain(value: object) -> float:
    """Write a time as AWS JSON does: seconds since the epoch."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} has no JSON form")


def _container_metadata(task: FakeTask) -> dict[str, Any]:
    return {"Name": task.definition.family, "Labels": {"com.amazonaws.ecs.task-arn": task.arn}}


def _task_metadata(task: FakeTask) -> dict[str, Any]:
    return {
        "Cluster": task.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": str(task.definition.revision),
        "DesiredStatus": task.desired,
        "KnownStatus": task.status,
        "LaunchType": ON_DEMAND,
        "AvailabilityZone": "eu-central-1a",
        "Limits": {"CPU": task.definition.vcpu, "Memory": task.definition.memory},
        "Containers": [_container_metadata(task)],
    }
