"""Where things lie: the two buckets and the jobs table.

Knows how they are protected and how long things stay. Refuses to know who may use them (functions.py).
"""

from __future__ import annotations

import math
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.audit import acknowledge, explain
from infra.settings import Settings

# Unfinished uploads are swept after a week, and never before a job's deadline can have passed.
ABORT_UPLOADS_DAYS = 7
NONCURRENT_DAYS = 30
MINUTES_PER_DAY = 24 * 60


class Storage(Construct):
    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)

        self._access_logs = (
            s3.Bucket.from_bucket_name(self, "AccessLogs", settings.access_log_bucket)
            if settings.access_log_bucket
            else None
        )
        # Job documents, manifests and reports. They may hold signed links, so they expire.
        self.jobs_bucket = self._bucket(
            "JobsBucket",
            lifecycle_rules=[
                _abort_unfinished_uploads(settings),
                s3.LifecycleRule(id="expire-jobs", expiration=cdk.Duration.days(settings.jobs_retention_days)),
            ],
        )
        # Where files land when a job names no bucket of its own.
        self.landing_bucket: s3.IBucket = (
            s3.Bucket.from_bucket_name(self, "LandingBucket", settings.landing_bucket)
            if settings.landing_bucket
            else self._new_landing_bucket(settings)
        )

        self.jobs_table = dynamodb.Table(
            self,
            "JobsTable",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            # A deleted table with point-in-time recovery leaves a backup of 35 days.
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )

    def _new_landing_bucket(self, settings: Settings) -> s3.Bucket:
        """Versioned: an overwrite can be undone for a month."""
        key = None
        if settings.landing_kms_key_arn:
            key = kms.Key.from_key_arn(self, "LandingKey", settings.landing_kms_key_arn)
        return self._bucket(
            "LandingBucket",
            versioned=True,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            lifecycle_rules=[
                _abort_unfinished_uploads(settings),
                s3.LifecycleRule(
                    id="expire-noncurrent-versions",
                    noncurrent_version_expiration=cdk.Duration.days(NONCURRENT_DAYS),
                ),
            ],
        )

    def _bucket(self, id: str, **more: Any) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            # It stays when the stack goes: CloudFormation cannot delete a bucket that holds objects, and landed
            # files are the user's.
            removal_policy=cdk.RemovalPolicy.RETAIN,
            server_access_logs_bucket=self._access_logs,
            server_access_logs_prefix=f"{id}/" if self._access_logs else None,
            **{"encryption": s3.BucketEncryption.S3_MANAGED, **more},
        )
        acknowledge(bucket, "@aws-cdk/aws-s3:accessLogsPolicyNotAdded", "That bucket's policy is its owner's.")
        if self._access_logs is None:
            explain(bucket, "S1", "Access logs go where the account keeps them: the setting access_log_bucket.")
        return bucket


def _abort_unfinished_uploads(settings: Settings) -> s3.LifecycleRule:
    deadline_days = math.ceil(settings.deadline_minutes / MINUTES_PER_DAY) + 1
    return s3.LifecycleRule(
        id="abort-unfinished-uploads",
        abort_incomplete_multipart_upload_after=cdk.Duration.days(max(ABORT_UPLOADS_DAYS, deadline_days)),
    )
