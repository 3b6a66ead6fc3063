"""Where things lie: the two buckets and the jobs table.

Knows how they are protected and how long things stay. Refuses to know who may use them (functions.py).
"""

from __future__ import annotations

import math
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Settings

# Unfinished uploads are swept after a week, and never before a job's deadline can have passed.
ABORT_UPLOADS_DAYS = 7
NONCURRENT_DAYS = 30
MINUTES_PER_DAY = 24 * 60


class Storage(Construct):
    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)

        # Job documents, manifests and reports. They may hold signed links, so they expire.
        self.jobs_bucket = s3.Bucket(
            self,
            "JobsBucket",
            **_locked_down(),
            lifecycle_rules=[
                _abort_unfinished_uploads(settings),
                s3.LifecycleRule(id="expire-jobs", expiration=cdk.Duration.days(settings.jobs_retention_days)),
            ],
        )

        # Where files land when a job names no bucket of its own. Versioned: an overwrite can be undone.
        self.landing_bucket = s3.Bucket(
            self,
            "LandingBucket",
            **_locked_down(),
            versioned=True,
            lifecycle_rules=[
                _abort_unfinished_uploads(settings),
                s3.LifecycleRule(
                    id="expire-noncurrent-versions",
                    noncurrent_version_expiration=cdk.Duration.days(NONCURRENT_DAYS),
                ),
            ],
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


def _locked_down() -> dict[str, Any]:
    # Both buckets stay when the stack goes: CloudFormation cannot delete a bucket that holds objects, and
    # landed files are the user's.
    return {
        "block_public_access": s3.BlockPublicAccess.BLOCK_ALL,
        "encryption": s3.BucketEncryption.S3_MANAGED,
        "enforce_ssl": True,
        "object_ownership": s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        "removal_policy": cdk.RemovalPolicy.RETAIN,
    }


def _abort_unfinished_uploads(settings: Settings) -> s3.LifecycleRule:
    deadline_days = math.ceil(settings.deadline_minutes / MINUTES_PER_DAY) + 1
    return s3.LifecycleRule(
        id="abort-unfinished-uploads",
        abort_incomplete_multipart_upload_after=cdk.Duration.days(max(ABORT_UPLOADS_DAYS, deadline_days)),
    )
