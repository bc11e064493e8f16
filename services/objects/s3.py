"""Large results in S3. The bucket's lifecycle rule deletes what is old: S3 knows no expiry of single objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.compute.errors import ObjectStoreError
from services.objects.store import DEFAULT_TTL, PRESIGN_TTL, ObjectMissing, ObjectReader, check_key

if TYPE_CHECKING:
    from botocore.client import BaseClient

CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 10.0
ATTEMPTS = 4
_PRESIGN_MAX = 7 * 86_400
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})


class S3ObjectStore:
    """Keeps objects in a bucket, under a prefix.

    Credentials and region come from the environment, as boto3 finds them (on ECS: the task's role).

    Args:
        bucket: the bucket's name.
        prefix: leads every key, without slashes at its ends; may be empty.
        client: an S3 client of boto3's; default one with short timeouts and few retries.

    Raises:
        ObjectStoreError: boto3 is missing, or finds no region.
    """

    def __init__(self, bucket: str, prefix: str = "", client: BaseClient | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = client or _make_client()
        self._failures = _failures()

    def put(self, key: str, data: bytes, ttl: float = DEFAULT_TTL) -> str:  # noqa: ARG002
        """Write an object; see ObjectStore. `ttl` is left to the bucket's lifecycle rule."""
        name = self._name(key)
        try:
            self._client.put_object(Bucket=self._bucket, Key=name, Body=data, ContentType="application/json")
        except self._failures as error:
            raise self._error("written", key, error) from error
        return key

    def get(self, key: str) -> bytes:
        """Return an object; see ObjectStore."""
        with self.open(key) as reader:
            return b"".join(reader)

    def open(self, key: str) -> ObjectReader:
        """Open an object; see ObjectStore."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key))
        except self._failures as error:
            raise self._error("read", key, error) from error
        return ObjectReader(key, int(answer["ContentLength"]), answer["Body"], (*self._failures, OSError))

    def presign(self, key: str, ttl: float = PRESIGN_TTL) -> str | None:
        """Return an address of the object, without asking whether it exists; see ObjectStore."""
        seconds = int(min(max(ttl, 1), _PRESIGN_MAX))
        try:
            address: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": self._name(key)}, ExpiresIn=seconds
            )
        except self._failures as error:
            raise self._error("presigned", key, error) from error
        return address

    def delete(self, key: str) -> None:
        """Forget an object; see ObjectStore."""
        try:
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))
        except self._failures as error:
            raise self._error("deleted", key, error) from error

    def sweep(self) -> int:
        """Return 0: the bucket's lifecycle rule sweeps."""
        return 0

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _error(self, what: str, key: str, error: Exception) -> ObjectStoreError:
        code = str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))
        if code in _MISSING:
            return ObjectMissing(f"there is no object {key!r} in s3://{self._bucket}/{self._prefix}")
        return ObjectStoreError(
            f"object {key!r} cannot be {what} in s3://{self._bucket}/{self._prefix}: {error}. "
            "Check the bucket of OBJECT_STORE, the region and what the role may do."
        )


def _failures() -> tuple[type[Exception], ...]:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        HTTPClientError,
    )

    return (BotoCoreError, ClientError, HTTPClientError)


def _make_client() -> Any:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise ObjectStoreError("OBJECT_STORE names S3, but boto3 is not installed: install tidegate[s3]") from error
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},  # exponential backoff with jitter
        signature_version="s3v4",
    )
    try:
        client: Any = boto3.client("s3", config=config)
        if ".amazonaws.com" in client.meta.endpoint_url:
            # Unless told so, botocore presigns for the endpoint of all regions, which sends clients of a new bucket
            # elsewhere, where the signature does not hold.
            client = boto3.client("s3", config=config.merge(Config(s3={"addressing_style": "virtual"})))
    except BotoCoreError as error:
        raise ObjectStoreError(f"no S3 client can be made: {error}. Set AWS_DEFAULT_REGION.") from error
    return client
