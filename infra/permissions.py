"""What a function may do: each right by the one who gives it a reason, and no resource wider than its reason.

Knows IAM's actions of every AWS call that the library makes. Refuses to know which function does what (functions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.audit import explain_wildcards
from infra.network import Network
from infra.settings import Settings
from infra.storage import Storage
from sluiceway.aws.secrets import KEYS

READ_TABLE = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
# A transaction needs the permission of each thing it does, conditions included.
WRITE_TABLE = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem")
WRITE_OBJECTS = ("s3:PutObject", "s3:AbortMultipartUpload")
# HEAD needs GetObject; ListParts tells which parts of an upload are already stored.
LAND_OBJECTS = (
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectTagging",
)
# A part of a multipart upload is encrypted with a key of its own, and S3 reads it back to join the object.
ENCRYPT_PARTS = ("kms:Decrypt", "kms:GenerateDataKey")
# What AWSLambdaVPCAccessExecutionRole grants, without its rights on logs.
ATTACH_TO_VPC = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


class Permissions:
    """`scope` is any construct of the stack."""

    def __init__(self, scope: Construct, settings: Settings, storage: Storage) -> None:
        self._scope = scope
        self._settings = settings
        self._storage = storage

    def use_jobs_bucket(self, function: lambda_.Function, *, read: Sequence[str], write: Sequence[str] = ()) -> None:
        bucket = self._storage.jobs_bucket
        objects = "Objects' keys begin with the job's id, which nobody knows before the job."
        allow(function, ("s3:GetObject",), [bucket.arn_for_objects(pattern) for pattern in read], because=objects)
        # Without it S3 answers 403 for an object that does not exist, which would read as a denial.
        allow(function, ("s3:ListBucket",), (bucket.bucket_arn,))
        if write:
            keys = [bucket.arn_for_objects(pattern) for pattern in write]
            allow(function, WRITE_OBJECTS, keys, because=objects)

    def answer_tokens(self, function: lambda_.Function) -> None:
        allow(
            function,
            ("states:SendTaskSuccess", "states:SendTaskFailure"),
            ("*",),
            because="IAM knows no resource for these: whoever holds a task's token may answer it.",
        )

    def land_files(self, function: lambda_.Function) -> None:
        settings, buckets = self._settings, self.landing_bucket_arns()
        allow(function, LAND_OBJECTS, [f"{arn}/*" for arn in buckets], because="A job chooses its own keys.")
        # So that a HEAD of a key that is free says 404, not 403; and to find an upload whose name was lost in reply.
        allow(function, ("s3:ListBucket", "s3:ListBucketMultipartUploads"), buckets)
        keys = [arn for arn in (settings.landing_kms_key_arn, *settings.kms_key_arns) if arn]
        if keys:
            allow(function, ENCRYPT_PARTS, keys)

    def abort_uploads(self, function: lambda_.Function) -> None:
        """Files that will not be finished leave no parts behind."""
        buckets = self.landing_bucket_arns()
        allow(function, ("s3:ListBucketMultipartUploads",), buckets)
        keys = [f"{arn}/*" for arn in buckets]
        allow(function, ("s3:AbortMultipartUpload",), keys, because="A job chooses its own keys.")

    def ask_what_landed(self, function: lambda_.Function) -> None:
        """Whose object stands at a key. IAM knows no right to ask for an object's metadata alone."""
        buckets = self.landing_bucket_arns()
        allow(function, ("s3:GetObject",), [f"{arn}/*" for arn in buckets], because="A job chooses its own keys.")
        allow(function, ("s3:ListBucket",), buckets)

    def clear_up(self, function: lambda_.Function) -> None:
        """What a job keeps from one invocation to the next goes when it ends, and uploads of its lists that broke."""
        bucket = self._storage.jobs_bucket
        allow(function, ("s3:ListBucketMultipartUploads",), (bucket.bucket_arn,))
        work = (bucket.arn_for_objects("jobs/*/work/*"),)
        allow(function, ("s3:DeleteObject",), work, because="Keys begin with the job's id, and end with a chance name.")

    def invoke_itself(self, function: lambda_.Function) -> None:
        """Where no state machine would invoke it again. The function itself sees to it that it comes to an end; Lambda
        would stop it the sixteenth time ("Use Lambda recursive loop detection")."""
        statement = iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn])
        # A policy beside the role: the function waits for the role's own, which could not name the function then.
        policy = iam.Policy(self._scope, f"{function.node.id}Again", statements=[statement])
        policy.attach_to_role(cast(iam.IRole, function.role))
        cast(lambda_.CfnFunction, function.node.default_child).recursive_loop = "Allow"

    def landing_bucket_arns(self) -> list[str]:
        others = [_bucket_arn(self._scope, name) for name in self._settings.destination_buckets]
        return [self._storage.landing_bucket.bucket_arn, *others]

    def read_manifests(self, function: lambda_.Function) -> None:
        buckets = [_bucket_arn(self._scope, name) for name in self._settings.manifest_buckets]
        if buckets:
            objects = [f"{arn}/*" for arn in buckets]
            allow(function, ("s3:GetObject",), objects, because="A job names the manifest it reads.")

    def read_secrets(self, function: lambda_.Function, *, keys: bool = False) -> None:
        """Under the prefix; what lies in the folder of private keys there only with `keys`."""
        because = "A secret's ARN ends in characters of AWS's choice, and jobs name secrets under this prefix."
        allow(function, ("secretsmanager:GetSecretValue",), (self._secrets(),), because=because)
        if not keys:
            statement = iam.PolicyStatement(
                effect=iam.Effect.DENY, actions=["secretsmanager:GetSecretValue"], resources=[self._secrets(KEYS)]
            )
            function.add_to_role_policy(statement)

    def _secrets(self, folder: str = "") -> str:
        return cdk.Stack.of(self._scope).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{self._settings.secret_prefix}{folder}*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


def allow(
    function: lambda_.Function, actions: Sequence[str], resources: Sequence[str], *, because: str | None = None
) -> None:
    """`because` explains the wildcards in `resources`; without it, one fails the synthesis."""
    function.add_to_role_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources)))
    if because is not None:
        explain_wildcards(cast(iam.Role, function.role), resources, because)


def reach_out(function: lambda_.Function, network: Network) -> None:
    """Traces, which the function's construct allows itself, and a VPC's interfaces."""
    because = "IAM knows no resource for writing traces."
    if network.vpc is not None:
        because += " Nor for the network interfaces of a function in a VPC."
        allow(function, ATTACH_TO_VPC, ("*",))
    explain_wildcards(cast(iam.Role, function.role), ("*",), because)


def _bucket_arn(scope: Construct, name: str) -> str:
    return cdk.Stack.of(scope).format_arn(service="s3", region="", account="", resource=name)
