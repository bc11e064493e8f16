"""The bucket of large results: private, encrypted, and emptied by age where the services write."""

from __future__ import annotations

import json

from tests.infra.components.stacks import Stacks, containers, variables
from tests.infra.graph import Graph

STACKS = ("development", "production")


def of_bucket(graph: Graph, kind: str) -> dict[str, object]:
    inputs = graph.one(kind).inputs
    assert inputs["bucket"] == graph.one("aws:s3/bucket:Bucket").id
    return dict(inputs)


def test_nobody_can_make_it_public(stack: Stacks) -> None:
    for name in STACKS:
        blocked = of_bucket(stack(name), "BucketPublicAccessBlock")
        keys = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert [key for key in keys if blocked.get(key) is not True] == []
        owned = of_bucket(stack(name), "BucketOwnershipControls")
        assert owned["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_it_is_encrypted_at_rest_and_on_the_way(stack: Stacks) -> None:
    graph = stack("development")
    (rule,) = graph.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}
    (statement,) = json.loads(str(of_bucket(graph, "BucketPolicy")["policy"]))["Statement"]
    arn = graph.one("aws:s3/bucket:Bucket").outputs["arn"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [arn, f"{arn}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_results_expire_where_services_write_them(stack: Stacks) -> None:
    graph = stack("development")
    (rule,) = graph.one("BucketLifecycleConfiguration").inputs["rules"]
    assert rule["status"] == "Enabled"
    assert rule["expiration"] == {"days": 7}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}
    bucket = graph.one("aws:s3/bucket:Bucket").outputs["bucket"]
    for service in ("api", "worker"):
        store = variables(containers(graph)[service])["OBJECT_STORE"]
        assert f"{store}/" == f"s3://{bucket}/{rule['filter']['prefix']}"


def test_only_development_deletes_results_with_the_stack(stack: Stacks) -> None:
    assert [stack(name).one("aws:s3/bucket:Bucket").inputs["forceDestroy"] for name in STACKS] == [True, False]
