"""Large results in S3, which is moto behind HTTP: real processes write them, clients fetch them from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.harness.stack import Stack

SIZE = 600_000
REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the S3 of all these tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(address: str) -> Any:
    """The bucket as the infrastructure makes it: closed to the public, expiring."""
    patch = pytest.MonkeyPatch()
    for name, value in CREDENTIALS.items():
        patch.setenv(name, value)
    found = boto3.resource("s3", endpoint_url=address).Bucket("results")
    found.create(CreateBucketConfiguration={"LocationConstraint": REGION})
    rule = {"ID": "expire", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    found.LifecycleConfiguration().put(LifecycleConfiguration={"Rules": [rule]})
    patch.undo()
    return found


@pytest.fixture(scope="module")
def stack(address: str, bucket: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": address, "OBJECT_STORE": f"s3://{bucket.name}/tide/gate"}
    made = Stack(tmp_path_factory.mktemp("stack"), environment)
    try:
        yield made.start()
    except BaseException:
        made.stop(gently=False)
        raise
    made.stop()


def test_a_large_result_is_fetched_from_the_bucket_itself(stack: Stack, bucket: Any, address: str) -> None:
    client = stack.client()
    task_id = client.submit("sized", {"size": SIZE})
    client.done([task_id])
    lead = client.http.get(f"/api/v1/tasks/{task_id}/result")
    assert lead.status_code == 307
    where = lead.headers["location"]
    assert where.startswith(f"{address}/results/tide/gate/sized-")
    query = httpx.URL(where).params
    assert int(query["X-Amz-Expires"]) <= 3600
    assert f"/{REGION}/s3/aws4_request" in query["X-Amz-Credential"]
    answer = httpx.get(where, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.content) == "x" * SIZE
    (stored,) = [each for each in bucket.objects.all() if task_id in each.key]
    assert stored.key.startswith("tide/gate/")
    assert stored.size == SIZE + 2


def test_running_anew_writes_another_object_and_both_addresses_hold(stack: Stack, bucket: Any) -> None:
    client = stack.client()
    parameters = {"size": SIZE, "n": 1}
    task_id = client.submit("sized", parameters)
    client.done([task_id])
    first = client.http.get(f"/api/v1/tasks/{task_id}/result").headers["location"]
    assert client.post("sized", parameters, headers={"Cache-Control": "no-cache"}).status_code == 202
    client.done([task_id])
    second = client.http.get(f"/api/v1/tasks/{task_id}/result").headers["location"]
    assert httpx.URL(first).path != httpx.URL(second).path
    for where in (first, second):
        assert httpx.get(where, trust_env=False).json() == "x" * SIZE


def test_a_small_result_needs_no_bucket(stack: Stack, bucket: Any) -> None:
    before = len(list(bucket.objects.all()))
    client = stack.client()
    task_id = client.submit("sized", {"size": 10, "n": 2})
    client.done([task_id])
    assert client.value(task_id) == "x" * 10
    assert len(list(bucket.objects.all())) == before


def test_a_bucket_that_is_not_there_fails_the_task_with_its_name(stack: Stack) -> None:
    worker = stack.add_worker(environment={"OBJECT_STORE": "s3://nowhere/x"})
    stack.wait_workers(2)
    stack.workers[0].terminate()
    stack.workers.pop(0)
    stack.wait_workers(1)
    client = stack.client()
    (record,) = client.wait_final([client.submit("sized", {"size": SIZE, "n": 3})], seconds=120)
    assert record["state"] == "FAILED"
    assert "s3://nowhere/x/" in record["error"]["message"]
    assert "NoSuchBucket" in record["error"]["message"]
    assert worker.running
