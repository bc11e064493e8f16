"""The bucket of large results: private, encrypted, and emptied by age."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.components.base import Component, Place

PREFIX = "results"
UPLOAD_DAYS = 1


class Results(Component):
    """The bucket.

    Attributes:
        bucket: name.
        arn: of the bucket.
        url: as `OBJECT_STORE` takes it.
    """

    def __init__(self, place: Place, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("results", place, opts)
        name = place.names.logical("results", "bucket")
        # What a stack deletes in production must have been deleted before, by somebody who meant it.
        bucket = aws.s3.Bucket(name, force_destroy=not place.settings.production, opts=self.child())
        blocked = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.child(),
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self.child(),
        )
        encryption = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="AES256"
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=encryption
                )
            ],
            opts=self.child(),
        )
        self._expire(name, bucket)
        # Two changes of a bucket's access at once are refused: one after the other.
        aws.s3.BucketPolicy(
            name, bucket=bucket.id, policy=bucket.arn.apply(policies.encrypted_only), opts=self.child(blocked)
        )
        self.bucket = bucket.bucket
        self.arn = bucket.arn
        self.url = pulumi.Output.concat("s3://", bucket.bucket, f"/{PREFIX}")
        self.register_outputs({"bucket": self.bucket})

    def _expire(self, name: str, bucket: aws.s3.Bucket) -> None:
        days = self.place.settings.results_days
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketLifecycleConfigurationRuleArgs(
                    id="expire",
                    status="Enabled",
                    filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{PREFIX}/"),
                    expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
                    abort_incomplete_multipart_upload=(
                        aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                            days_after_initiation=UPLOAD_DAYS
                        )
                    ),
                )
            ],
            opts=self.child(),
        )
