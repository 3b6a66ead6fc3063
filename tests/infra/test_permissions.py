"""What the functions may do: each has a role of its own, and no action or resource beyond its part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from infra.describe import PAGE
from tests.infra.names import FOLDERS, MOVERS, SETTINGS, STATES, TOKENS, TRACES
from tests.infra.template import Template, environment, text

# CommitFiles completes what the others have sent.
WRITERS = (*MOVERS, "commit_files")
# Those that read what a stranger sends, for as long as it takes.
READERS = ("process_file", "process_file_large", "move_segment", "move_segment_large")
KEY_READERS = ("start_export", "poll_export", "dispatch_files", "complete_job", "issue_token")
SECRET = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:"
ANSWERERS = ("await_export", "export_callback", "complete_job")


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


def test_who_goes_on_with_a_job_may_ask_whether_its_execution_was_redriven(template: Template) -> None:
    machine, _ = template.the("AWS::StepFunctions::StateMachine")
    executions = (
        f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:execution:${{Select:6:${{{machine}}}}}:*"
    )
    for folder in FOLDERS:
        expected = {executions} if folder in ("process_file", "process_file_large", "complete_job") else set()
        assert template.resources_for(folder, "states:DescribeExecution") == expected


def test_keys_by_setting_may_be_used_by_those_who_move_files_alone(synth: Callable[..., Template]) -> None:
    keys = [f"arn:aws:kms:eu-west-1:111122223333:key/{n}2345678-90ab-cdef-1234-567890abcdef" for n in (1, 2)]
    template = synth(landing_kms_key_arn=keys[0], kms_key_arns=keys[1])
    for action in ("kms:GenerateDataKey", "kms:Decrypt"):
        for folder in FOLDERS:
            assert template.resources_for(folder, action) == (set(keys) if folder in WRITERS else set())


def test_only_those_who_move_files_may_write_where_files_land_and_only_there(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    landing = template.bucket("LandingBucket")
    expected = {f"{landing}/*", "arn:${AWS::Partition}:s3:::acme-raw/*", "arn:${AWS::Partition}:s3:::acme-cold/*"}
    for folder in WRITERS:
        # CommitFiles lists what must be sent again.
        own = {f"{template.bucket('JobsBucket')}/jobs/*/work/*"} if folder == "commit_files" else set()
        for action in ("PutObject", "AbortMultipartUpload"):
            assert template.resources_for(folder, f"s3:{action}") == expected | own
        for action in ("ListMultipartUploadParts", "PutObjectTagging"):
            assert template.resources_for(folder, f"s3:{action}") == expected
        documents = f"{template.bucket('JobsBucket')}/jobs/*"
        assert template.resources_for(folder, "s3:GetObject") == {*expected, documents}
    # CompleteJob asks whose object stands where a commit broke.
    assert template.resources_for("complete_job", "s3:GetObject") == {*expected, documents}
    for folder in set(FOLDERS) - set(WRITERS):
        assert not template.resources_for(folder, "s3:PutObject") & expected
        assert folder == "complete_job" or not template.resources_for(folder, "s3:GetObject") & expected


def test_who_ends_a_file_or_a_job_may_end_its_uploads(synth: Callable[..., Template]) -> None:
    template = synth(**SETTINGS)
    landing = template.bucket("LandingBucket")
    expected = {f"{landing}/*", "arn:${AWS::Partition}:s3:::acme-raw/*", "arn:${AWS::Partition}:s3:::acme-cold/*"}
    for folder in ("record_failure", "complete_job"):
        assert template.resources_for(folder, "s3:AbortMultipartUpload") >= expected


def test_the_deploy_page_names_those_whom_a_bucket_of_another_account_must_let_in(
    synth: Callable[..., Template],
) -> None:
    template = synth(**SETTINGS)
    (told,) = [each for each in PAGE.read_text().split("\n\n") if each.startswith("Existing buckets:")]
    for folder in FOLDERS:
        resources = [each for statement in template.statements_of_function(folder) for each in statement.resources]
        name = folder.title().replace("_", "")
        assert (re.search(rf"\b{name}\b", told) is not None) == any(":s3:::acme-" in each for each in resources), name


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
