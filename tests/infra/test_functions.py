"""The functions: what they are told, and what they may do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.functions import folder_of
from sluiceway.config import Config
from tests.infra.template import Template, text

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
MOVERS = ("process_file", "process_file_large", "move_segment", "finish_file")
# CommitFiles completes what the others have sent.
WRITERS = (*MOVERS, "commit_files")
ENDERS = ("record_failure", "commit_files", "complete_job")
STATES = ("start_export", "poll_export", "await_export", "dispatch_files", *MOVERS, *ENDERS)
FOLDERS = (*STATES, "issue_token", "export_callback", "count_stale_uploads")
# Those that read what a stranger sends, for as long as it takes.
READERS = ("process_file", "process_file_large", "move_segment")
KEY_READERS = ("start_export", "poll_export", "dispatch_files", "complete_job", "issue_token")
SECRET = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:"
# IAM knows no resource for these actions.
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
ANSWERERS = ("await_export", "export_callback", "complete_job")
TOKENS = {"states:SendTaskSuccess", "states:SendTaskFailure"}
INTERFACES = {
    *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
}


def environment(template: Template, folder: str) -> dict[str, str]:
    _, properties = template.function(folder)
    values = properties["Environment"]["Variables"]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def test_every_handler_folder_is_a_function_and_the_other_way_round(template: Template) -> None:
    handlers = {f["Properties"]["Handler"] for f in template.of_type("AWS::Lambda::Function").values()}
    assert handlers == {f"{folder}.handler.handler" for folder in FOLDERS}
    assert {path.name for path in LAMBDAS.iterdir() if (path / "__init__.py").is_file()} - {"sluiceway"} == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_is_arm64_python_313_and_logs_to_its_own_group_for_a_month(template: Template, folder: str) -> None:
    _, properties = template.function(folder)
    assert properties["Architectures"] == ["arm64"]
    assert properties["Runtime"] == "python3.13"
    group = template.body["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]
    assert group["Properties"]["RetentionInDays"] == 30


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_functions_environment_is_what_config_reads(template: Template, folder: str) -> None:
    told = environment(template, folder)
    config = Config.from_env({**told, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"})
    assert json.loads(config.jobs_bucket)["Ref"] == template.the("AWS::S3::Bucket", "JobsBucket")[0]
    assert json.loads(config.landing_bucket)["Ref"] == template.the("AWS::S3::Bucket", "LandingBucket")[0]
    assert json.loads(config.jobs_table)["Ref"] == template.the("AWS::DynamoDB::Table")[0]
    assert config.event_bus == "default"
    names_read = set(re.findall(r'"(SLUICEWAY_\w+)"', (LAMBDAS / "sluiceway" / "config.py").read_text()))
    assert {name for name in told if name.startswith("SLUICEWAY_")} == names_read
    assert told["POWERTOOLS_SERVICE_NAME"] == "sluiceway"
    assert told["POWERTOOLS_METRICS_NAMESPACE"] == "Sluiceway"


def test_settings_reach_the_environment_in_the_types_config_expects(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    told = Config.from_env({**environment(template, "process_file"), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024"})
    assert told.uploaders == 3
    assert told.part_bytes == 16 * 1024**2
    assert told.part_checksum == "crc32"
    assert told.max_file_bytes == 1000
    assert told.max_concurrency == 5
    assert told.allowed_sources == ("localhost:8080", "files.internal")
    assert told.only_hosts == ("files.example", ".cdn.example")
    assert told.destination_buckets == ("acme-raw", "acme-cold")
    assert told.file_events == ("STORED",)
    assert told.secret_prefix == "vendor/"
    assert told.progress_seconds == 0.5
    assert (told.batch_files, told.batch_bytes, told.batch_threads) == (20, 1_000_000, 3)
    assert told.split_bytes == 10_000_000
    assert told.event_bus == "data-platform"


def test_process_file_has_the_memory_and_time_of_its_settings(synth: Callable[..., Template]) -> None:
    _, default = synth().function("process_file")
    assert (default["MemorySize"], default["Timeout"]) == (512, 900)
    _, other = synth(**SETTINGS).function("process_file")
    assert (other["MemorySize"], other["Timeout"]) == (1024, 300)


def test_the_steps_of_a_whole_job_have_the_time_of_their_setting(synth: Callable[..., Template]) -> None:
    template = synth(control_timeout_seconds="30")
    timeouts = {folder: template.function(folder)[1]["Timeout"] for folder in FOLDERS}
    assert {folder for folder, seconds in timeouts.items() if seconds == 30} == {
        "dispatch_files", "commit_files", "complete_job",
    }  # fmt: skip


def test_complete_job_may_go_on_by_itself_and_clear_up(template: Template) -> None:
    name, properties = template.function("complete_job")
    assert template.resources_for("complete_job", "lambda:InvokeFunction") == {f"${{{name}.Arn}}"}
    assert properties["RecursiveLoop"] == "Allow"
    jobs = template.bucket("JobsBucket")
    assert template.resources_for("complete_job", "s3:DeleteObject") == {f"{jobs}/jobs/*/work/*"}
    assert jobs in template.resources_for("complete_job", "s3:ListBucketMultipartUploads")
    for folder in set(FOLDERS) - {"complete_job"}:
        assert not template.resources_for(folder, "s3:DeleteObject")
        assert "RecursiveLoop" not in template.function(folder)[1]


def test_each_function_has_a_role_of_its_own_without_managed_policies(template: Template) -> None:
    roles = {template.function(folder)[1]["Role"]["Fn::GetAtt"][0] for folder in FOLDERS}
    assert len(roles) == len(FOLDERS)
    for role in roles:
        properties = template.body["Resources"][role]["Properties"]
        assert "ManagedPolicyArns" not in properties
        assert "Policies" not in properties


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_statement_holds_a_wildcard_that_is_not_forced(template: Template, folder: str) -> None:
    forced = TRACES | (TOKENS if folder in ANSWERERS else set())
    objects = (f"{template.bucket('JobsBucket')}/", f"{template.bucket('LandingBucket')}/")
    for statement in template.statements_of_function(folder):
        if statement.effect == "Deny":
            continue
        assert not [action for action in statement.actions if "*" in action]
        if statement.resources == ("*",):
            assert set(statement.actions) <= forced
            continue
        for resource in statement.resources:
            # What a `*` may stand for: a key in a bucket of the stack, a secret under the prefix, or an execution.
            if "*" in resource and statement.actions != ("states:DescribeExecution",):
                assert resource.startswith(objects) or resource.endswith(":secret:sluiceway/*")


def test_who_begins_a_file_may_ask_whether_its_execution_was_redriven(template: Template) -> None:
    machine, _ = template.the("AWS::StepFunctions::StateMachine")
    executions = (
        f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:execution:${{Select:6:${{{machine}}}}}:*"
    )
    for folder in FOLDERS:
        expected = {executions} if folder in ("process_file", "process_file_large") else set()
        assert template.resources_for(folder, "states:DescribeExecution") == expected


def test_in_a_vpc_a_function_may_attach_itself_and_no_more(synth: Callable[..., Template]) -> None:
    template = synth(
        vpc_id="vpc-0a1b2c3d", vpc_subnet_ids="subnet-1a1b2c3d,subnet-2a1b2c3d", vpc_route_table_ids="rtb-0a1b2c3d"
    )
    for folder in FOLDERS:
        _, properties = template.function(folder)
        assert properties["VpcConfig"]["SubnetIds"] == ["subnet-1a1b2c3d", "subnet-2a1b2c3d"]
        everywhere = {
            action
            for statement in template.statements_of_function(folder)
            if statement.resources == ("*",)
            for action in statement.actions
        }
        assert everywhere - TOKENS == TRACES | INTERFACES
    endpoints = {text(each["Properties"]["ServiceName"]) for each in template.of_type("AWS::EC2::VPCEndpoint").values()}
    assert endpoints == {"com.amazonaws.${AWS::Region}.s3", "com.amazonaws.${AWS::Region}.dynamodb"}


def test_outside_a_vpc_nothing_of_one_is_made(template: Template) -> None:
    assert not [each for each in template.body["Resources"].values() if each["Type"].startswith("AWS::EC2::")]


def test_keys_by_setting_may_be_used_by_those_who_move_files_alone(synth: Callable[..., Template]) -> None:
    keys = [f"arn:aws:kms:eu-west-1:111122223333:key/{n}2345678-90ab-cdef-1234-567890abcdef" for n in (1, 2)]
    template = synth(landing_kms_key_arn=keys[0], kms_key_arns=keys[1])
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        for folder in FOLDERS:
            assert template.resources_for(folder, action) == (set(keys) if folder in WRITERS else set())


def test_an_existing_landing_bucket_is_used_not_made(synth: Callable[..., Template]) -> None:
    template = synth(landing_bucket="acme-landing")
    assert len(template.of_type("AWS::S3::Bucket")) == 1
    assert template.resources_for("process_file", "s3:PutObject") == {"arn:${AWS::Partition}:s3:::acme-landing/*"}
    assert environment(template, "process_file")["SLUICEWAY_LANDING_BUCKET"] == "acme-landing"
    assert template.body["Outputs"]["LandingBucket"]["Value"] == "acme-landing"


@pytest.mark.parametrize(
    "settings", [{}, {"process_file_reserved_concurrency": "25", "callback_reserved_concurrency": "5"}]
)
def test_concurrency_is_reserved_by_setting(synth: Callable[..., Template], settings: dict[str, str]) -> None:
    template = synth(**settings)
    reserved = {"process_file": 25, "export_callback": 5} if settings else {}
    for folder in FOLDERS:
        assert template.function(folder)[1].get("ReservedConcurrentExecutions") == reserved.get(folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_function_is_traced(template: Template, folder: str) -> None:
    assert template.function(folder)[1]["TracingConfig"] == {"Mode": "Active"}


def test_only_those_who_move_files_may_write_where_files_land_and_only_there(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    landing = template.bucket("LandingBucket")
    expected = {f"{landing}/*", "arn:${AWS::Partition}:s3:::acme-raw/*", "arn:${AWS::Partition}:s3:::acme-cold/*"}
    for folder in WRITERS:
        for action in ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts", "PutObjectTagging"):
            assert template.resources_for(folder, f"s3:{action}") == expected
        documents = f"{template.bucket('JobsBucket')}/jobs/*"
        assert template.resources_for(folder, "s3:GetObject") == {*expected, documents}
    for folder in set(FOLDERS) - set(WRITERS):
        for action in ("s3:PutObject", "s3:GetObject"):
            assert not template.resources_for(folder, action) & expected


def test_who_ends_a_file_or_a_job_may_end_its_uploads(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    landing = template.bucket("LandingBucket")
    expected = {f"{landing}/*", "arn:${AWS::Partition}:s3:::acme-raw/*", "arn:${AWS::Partition}:s3:::acme-cold/*"}
    for folder in ("record_failure", "complete_job"):
        assert template.resources_for(folder, "s3:AbortMultipartUpload") >= expected


def test_by_default_files_land_in_the_landing_bucket_alone(template: Template) -> None:
    assert template.resources_for("process_file", "s3:PutObject") == {f"{template.bucket('LandingBucket')}/*"}


def test_manifest_buckets_may_be_read_where_manifests_are_read(synth: Callable[..., Template]) -> None:
    template, manifests = synth(**SETTINGS), "arn:${AWS::Partition}:s3:::acme-lists/*"
    readers = {folder for folder in FOLDERS if manifests in template.resources_for(folder, "s3:GetObject")}
    assert readers == {"start_export", "dispatch_files"}
    for folder in FOLDERS:
        assert manifests not in template.resources_for(folder, "s3:PutObject")


def test_secrets_may_be_read_under_the_prefix_alone_where_requests_are_made(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    may = {folder for folder in FOLDERS if template.resources_for(folder, "secretsmanager:GetSecretValue")}
    assert may == {*READERS, *KEY_READERS, "export_callback"}
    for folder in may:
        assert template.resources_for(folder, "secretsmanager:GetSecretValue") == {f"{SECRET}vendor/*"}


def test_private_keys_are_closed_to_whoever_reads_untrusted_bytes(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    for folder in FOLDERS:
        denied = [each for each in template.statements_of_function(folder) if each.effect == "Deny"]
        if folder in (*READERS, "export_callback"):
            (statement,) = denied
            assert statement.actions == ("secretsmanager:GetSecretValue",)
            assert statement.resources == (f"{SECRET}vendor/keys/*",)
        else:
            assert denied == []


def test_tokens_are_issued_by_one_function_for_those_who_move_files(template: Template) -> None:
    issuer, _ = template.function("issue_token")
    for folder in FOLDERS:
        own = {f"${{{template.function(folder)[0]}.Arn}}"}
        invoked = template.resources_for(folder, "lambda:InvokeFunction") - own
        assert invoked == ({f"${{{issuer}.Arn}}"} if folder in READERS else set())
        told = environment(template, folder)["SLUICEWAY_TOKEN_FUNCTION"]
        assert told == (json.dumps({"Ref": issuer}) if folder in READERS else "")


def test_who_issues_tokens_reads_how_files_are_asked_for_and_whose_job_it_is_and_no_more(template: Template) -> None:
    allowed = {
        action: set(statement.resources)
        for statement in template.statements_of_function("issue_token")
        for action in statement.actions
        if action not in TRACES and not action.startswith("logs:")
    }
    jobs, table = template.bucket("JobsBucket"), {f"${{{template.the('AWS::DynamoDB::Table')[0]}.Arn}}"}
    assert allowed == {
        "s3:GetObject": {f"{jobs}/jobs/*/access-*"},
        "s3:ListBucket": {jobs},
        "secretsmanager:GetSecretValue": {f"{SECRET}sluiceway/*"},
        **{f"dynamodb:{action}": table for action in ("GetItem", "BatchGetItem", "Query")},
    }


@pytest.mark.parametrize("folder", STATES)
def test_the_table_and_the_bus_are_the_stacks_own(synth: Callable[..., Template], folder: str) -> None:
    template = synth(**SETTINGS)
    table = {f"${{{template.the('AWS::DynamoDB::Table')[0]}.Arn}}"}
    for action in ("GetItem", "Query", "PutItem", "UpdateItem", "ConditionCheckItem"):
        assert template.resources_for(folder, f"dynamodb:{action}") == table
    assert template.resources_for(folder, "events:PutEvents") == {
        "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/data-platform"
    }


def test_what_complete_job_could_not_do_when_it_was_called_by_an_event_is_kept(template: Template) -> None:
    queue, _ = template.the("AWS::SQS::Queue", "UnheardEnds")
    _, properties = template.function("complete_job")
    assert text(properties["DeadLetterConfig"]["TargetArn"]) == f"${{{queue}.Arn}}"
    for folder in FOLDERS:
        expected = {f"${{{queue}.Arn}}"} if folder == "complete_job" else set()
        assert template.resources_for(folder, "sqs:SendMessage") == expected


@pytest.mark.parametrize("folder", ["start_export", "poll_export", "dispatch_files", "complete_job"])
def test_jobs_documents_are_written_under_jobs_alone(template: Template, folder: str) -> None:
    assert template.resources_for(folder, "s3:PutObject") == {f"{template.bucket('JobsBucket')}/jobs/*"}


def test_the_count_of_stale_uploads_may_list_uploads_and_nothing_else(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    buckets = {
        template.bucket("LandingBucket"),
        "arn:${AWS::Partition}:s3:::acme-raw",
        "arn:${AWS::Partition}:s3:::acme-cold",
    }
    allowed = {
        action: set(statement.resources)
        for statement in template.statements_of_function("count_stale_uploads")
        for action in statement.actions
        if action not in TRACES and not action.startswith("logs:")
    }
    assert allowed == {"s3:ListBucketMultipartUploads": buckets}
    assert template.resources_for("process_file", "s3:ListBucketMultipartUploads") == buckets


@pytest.mark.parametrize(
    ("name", "folder"), [("ProcessFile", "process_file"), ("StartExport", "start_export"), ("Copy", "copy")]
)
def test_a_states_name_gives_the_folder(name: str, folder: str) -> None:
    assert folder_of(name) == folder


SETTINGS: dict[str, Any] = {
    "process_file_memory_mb": "1024",
    "process_file_timeout_seconds": "300",
    "uploaders": "3",
    "part_mib": "16",
    "part_checksum": "crc32",
    "max_file_bytes": "1000",
    "max_concurrency": "5",
    "allowed_sources": "localhost:8080,files.internal",
    "only_hosts": "files.example,.cdn.example",
    "destination_buckets": "acme-raw,acme-cold",
    "manifest_buckets": "acme-lists",
    "secret_prefix": "vendor/",
    "event_bus": "data-platform",
    "file_events": "STORED",
    "progress_seconds": "0.5",
    "batch_files": "20",
    "batch_bytes": "1000000",
    "batch_threads": "3",
    "split_bytes": "10000000",
    "deadline_minutes": "20160",
    "stage": "test",
}
