"""The functions: one per handler, each with a role of its own that may do what its handler does and no more.

Knows the environment that lambdas/sluiceway/config.py reads, and which rights of permissions.py go to whom. Refuses
to know in which order functions run (workflow.py).
"""

from __future__ import annotations

from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.audit import explain
from infra.bundling import bundle
from infra.network import Network
from infra.permissions import READ_TABLE, WRITE_TABLE, Permissions, allow, reach_out
from infra.settings import Settings
from infra.storage import Storage
from sluiceway.telemetry import NAMESPACE

# Functions that wait on S3 and DynamoDB, not on file bodies. 512 MB buys 0.29 of a CPU.
CONTROL_MEMORY_MB = 512
# Listing or judging 100,000 files takes minutes; Lambda allows 15 at most.
LONG_SECONDS = 900
SHORT_SECONDS = 60


class Functions(Construct):
    """Attributes are the folders under lambdas/; construct ids are the states' names."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        storage: Storage,
        bus: events.IEventBus,
        network: Network,
    ) -> None:
        super().__init__(scope, id)
        self._network = network
        # What each has, in MB: the price of its milliseconds.
        self.memory_mb: dict[lambda_.Function, int] = {}
        self._settings = settings
        self._storage = storage
        self._bus = bus
        may = Permissions(self, settings, storage)

        self.start_export = self._function("StartExport", timeout_seconds=LONG_SECONDS)
        may.use_jobs_bucket(self.start_export, read=("requests/*", "jobs/*"), write=("jobs/*",))
        may.read_manifests(self.start_export)
        may.read_secrets(self.start_export, keys=True)

        self.poll_export = self._function("PollExport", timeout_seconds=LONG_SECONDS)
        may.use_jobs_bucket(self.poll_export, read=("jobs/*",), write=("jobs/*",))
        may.read_secrets(self.poll_export, keys=True)

        self.await_export = self._function("AwaitExport", timeout_seconds=SHORT_SECONDS)
        may.use_jobs_bucket(self.await_export, read=("jobs/*",))
        may.answer_tokens(self.await_export)

        self.export_callback = self._function(
            "ExportCallback",
            timeout_seconds=SHORT_SECONDS,
            # Its URL is public: a flood of calls must not use up the concurrency that files are moved with.
            reserved_concurrency=settings.callback_reserved_concurrency,
        )
        may.read_secrets(self.export_callback)
        may.answer_tokens(self.export_callback)
        # Export APIs cannot sign for IAM: the function itself proves every call by its id, its HMAC and its age.
        self.callback_url = self.export_callback.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE)
        self.start_export.add_environment("SLUICEWAY_CALLBACK_URL", self.callback_url.url)

        self.dispatch_files = self._function("DispatchFiles", timeout_seconds=settings.control_timeout_seconds)
        may.use_jobs_bucket(self.dispatch_files, read=("requests/*", "jobs/*"), write=("jobs/*",))
        may.read_manifests(self.dispatch_files)
        may.read_secrets(self.dispatch_files, keys=True)

        self.process_file = self._function(
            "ProcessFile",
            timeout_seconds=settings.process_file_timeout_seconds,
            memory_mb=settings.process_file_memory_mb,
            reserved_concurrency=settings.process_file_reserved_concurrency,
        )
        self.process_file_large = self._function(
            "ProcessFileLarge",
            timeout_seconds=settings.process_file_timeout_seconds,
            memory_mb=settings.process_file_large_memory_mb,
        )
        self.move_segment = self._function(
            "MoveSegment",
            timeout_seconds=settings.process_file_timeout_seconds,
            memory_mb=settings.process_file_memory_mb,
        )
        self.move_segment_large = self._function(
            "MoveSegmentLarge",
            timeout_seconds=settings.process_file_timeout_seconds,
            memory_mb=settings.process_file_large_memory_mb,
        )
        self.finish_file = self._function("FinishFile", timeout_seconds=LONG_SECONDS)
        for function in (*self._movers, self.finish_file):
            may.use_jobs_bucket(function, read=("jobs/*",))
            may.land_files(function)

        self.issue_token = self._function("IssueToken", timeout_seconds=SHORT_SECONDS)
        may.use_jobs_bucket(self.issue_token, read=("jobs/*/access-*",))
        may.read_secrets(self.issue_token, keys=True)
        allow(self.issue_token, READ_TABLE, (storage.jobs_table.table_arn,))
        # Those that read untrusted bytes: no private key is theirs to read, only the tokens had with one.
        for function in self._movers:
            may.read_secrets(function)
            allow(function, ("lambda:InvokeFunction",), (self.issue_token.function_arn,))
            function.add_environment("SLUICEWAY_TOKEN_FUNCTION", self.issue_token.function_name)

        self.record_failure = self._function("RecordFailure", timeout_seconds=SHORT_SECONDS)
        may.use_jobs_bucket(self.record_failure, read=("jobs/*",))
        may.abort_uploads(self.record_failure)

        self.commit_files = self._function("CommitFiles", timeout_seconds=settings.control_timeout_seconds)
        may.use_jobs_bucket(self.commit_files, read=("jobs/*",), write=("jobs/*/work/*",))
        may.land_files(self.commit_files)

        self.complete_job = self._function("CompleteJob", timeout_seconds=settings.control_timeout_seconds)
        may.use_jobs_bucket(self.complete_job, read=("jobs/*",), write=("jobs/*",))
        may.abort_uploads(self.complete_job)
        # Which files a commit that broke had made visible.
        may.ask_what_landed(self.complete_job)
        may.clear_up(self.complete_job)
        may.answer_tokens(self.complete_job)
        may.invoke_itself(self.complete_job)
        # The export API is told of the end.
        may.read_secrets(self.complete_job, keys=True)

        self.count_stale_uploads = self._function("CountStaleUploads", timeout_seconds=LONG_SECONDS)
        allow(self.count_stale_uploads, ("s3:ListBucketMultipartUploads",), may.landing_bucket_arns())

        for function in (*self.of_states, self.export_callback):
            allow(function, (*READ_TABLE, *WRITE_TABLE), (storage.jobs_table.table_arn,))
            allow(function, ("events:PutEvents",), (bus.event_bus_arn,))

    @property
    def all(self) -> list[lambda_.Function]:
        return [*self.of_states, self.issue_token, self.export_callback, self.count_stale_uploads]

    @property
    def of_states(self) -> list[lambda_.Function]:
        """Those the state machine invokes."""
        return [
            self.start_export,
            self.poll_export,
            self.await_export,
            self.dispatch_files,
            *self.of_units,
            self.commit_files,
            self.complete_job,
        ]

    @property
    def of_units(self) -> list[lambda_.Function]:
        """Those that children of TransferFiles invoke: nearly all invocations, and errors that no job shows."""
        return [
            *self._movers,
            self.finish_file,
            self.record_failure,
        ]

    @property
    def _movers(self) -> tuple[lambda_.Function, ...]:
        """Those that read files from their sources."""
        return self.process_file, self.process_file_large, self.move_segment, self.move_segment_large

    def _function(
        self, name: str, *, timeout_seconds: int, memory_mb: int = CONTROL_MEMORY_MB, reserved_concurrency: int = 0
    ) -> lambda_.Function:
        folder = folder_of(name)
        log_group = logs.LogGroup(
            self,
            f"{name}Logs",
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        # CDK has a word for each number of days; the setting is the number itself.
        cast(logs.CfnLogGroup, log_group.node.default_child).retention_in_days = self._settings.log_retention_days
        role = iam.Role(self, f"{name}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        function = lambda_.Function(
            self,
            name,
            description=f"Sluiceway: {folder}",
            code=bundle(folder),
            handler=f"{folder}.handler.handler",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=memory_mb,
            timeout=cdk.Duration.seconds(timeout_seconds),
            environment=self._environment(),
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            reserved_concurrent_executions=reserved_concurrency or None,
            vpc=self._network.vpc,
            vpc_subnets=self._network.subnets,
        )
        self.memory_mb[function] = memory_mb
        log_group.grant_write(role)
        explain(
            function, "L1", "Every dependency is pinned and bundled for Python 3.13; AWS supports it until June 2029."
        )
        reach_out(function, self._network)
        return function

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        return {
            "SLUICEWAY_JOBS_BUCKET": self._storage.jobs_bucket.bucket_name,
            "SLUICEWAY_JOBS_TABLE": self._storage.jobs_table.table_name,
            "SLUICEWAY_EVENT_BUS": self._bus.event_bus_name,
            "SLUICEWAY_LANDING_BUCKET": self._storage.landing_bucket.bucket_name,
            "SLUICEWAY_UPLOADERS": str(settings.uploaders),
            "SLUICEWAY_PART_MIB": str(settings.part_mib),
            "SLUICEWAY_PART_CHECKSUM": settings.part_checksum,
            "SLUICEWAY_MAX_FILE_BYTES": str(settings.max_file_bytes),
            "SLUICEWAY_MAX_CONCURRENCY": str(settings.max_concurrency),
            "SLUICEWAY_ALLOWED_SOURCES": ",".join(settings.allowed_sources),
            "SLUICEWAY_ONLY_HOSTS": ",".join(settings.only_hosts),
            "SLUICEWAY_DESTINATION_BUCKETS": ",".join(settings.destination_buckets),
            "SLUICEWAY_FILE_EVENTS": ",".join(settings.file_events),
            "SLUICEWAY_SECRET_PREFIX": settings.secret_prefix,
            "SLUICEWAY_PROGRESS_SECONDS": str(settings.progress_seconds),
            "SLUICEWAY_BATCH_FILES": str(settings.batch_files),
            "SLUICEWAY_BATCH_BYTES": str(settings.batch_bytes),
            "SLUICEWAY_BATCH_THREADS": str(settings.batch_threads),
            "SLUICEWAY_SPLIT_BYTES": str(settings.split_bytes),
            # Only who starts an export has it to give away.
            "SLUICEWAY_CALLBACK_URL": "",
            # Only who moves files asks another function for tokens.
            "SLUICEWAY_TOKEN_FUNCTION": "",
            "SLUICEWAY_FILE_MEMORY_MB": str(settings.process_file_memory_mb),
            "SLUICEWAY_LARGE_MEMORY_MB": str(settings.process_file_large_memory_mb),
            # Every metric's one dimension: it tells the stacks of an account apart.
            "POWERTOOLS_SERVICE_NAME": settings.stack_id,
            "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
            "POWERTOOLS_LOG_LEVEL": settings.log_level,
        }


def folder_of(name: str) -> str:
    """`ProcessFile` -> `process_file`: a state's name, and the folder under lambdas/ that serves it."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
