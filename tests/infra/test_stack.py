"""The stack's storage, its outputs, and the app that builds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app import build
from tests.infra.template import Template, text

ROOT = Path(__file__).resolve().parents[2]


def test_outputs_are_named_as_the_command_looks_them_up(template: Template) -> None:
    outputs = {name: text(output["Value"]) for name, output in template.body["Outputs"].items()}
    assert outputs == {
        "JobsBucket": f"${{{template.the('AWS::S3::Bucket', 'JobsBucket')[0]}}}",
        "LandingBucket": f"${{{template.the('AWS::S3::Bucket', 'LandingBucket')[0]}}}",
        "JobsTable": f"${{{template.the('AWS::DynamoDB::Table')[0]}}}",
        "EventBusName": "default",
        "StateMachineArn": f"${{{template.the('AWS::StepFunctions::StateMachine')[0]}}}",
        "AlarmTopicArn": f"${{{template.the('AWS::SNS::Topic')[0]}}}",
    }


@pytest.mark.parametrize("bucket", ["JobsBucket", "LandingBucket"])
def test_a_bucket_is_private_encrypted_tls_only_and_outlives_the_stack(template: Template, bucket: str) -> None:
    name, resource = template.the("AWS::S3::Bucket", bucket)
    properties = resource["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    assert properties["BucketEncryption"]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    (policy,) = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in template.of_type("AWS::S3::BucketPolicy").values()
        if each["Properties"]["Bucket"] == {"Ref": name}
    ]
    (tls,) = [each for each in policy if each["Effect"] == "Deny"]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (tls["Action"], tls["Principal"]) == ("s3:*", {"AWS": "*"})
    assert {text(each) for each in tls["Resource"]} == {f"${{{name}.Arn}}", f"${{{name}.Arn}}/*"}


@pytest.mark.parametrize(("deadline_minutes", "days"), [("720", 7), ("8640", 7), ("20160", 15)])
def test_unfinished_uploads_go_after_a_week_and_never_before_a_jobs_deadline(
    synth: Callable[..., Template], deadline_minutes: str, days: int
) -> None:
    template = synth(deadline_minutes=deadline_minutes)
    for bucket in template.of_type("AWS::S3::Bucket").values():
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        (found,) = [
            rule["AbortIncompleteMultipartUpload"] for rule in rules if "AbortIncompleteMultipartUpload" in rule
        ]
        assert found == {"DaysAfterInitiation": days}


def test_the_landing_bucket_is_versioned_and_old_versions_go(template: Template) -> None:
    _, resource = template.the("AWS::S3::Bucket", "LandingBucket")
    assert resource["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = resource["Properties"]["LifecycleConfiguration"]["Rules"]
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    assert not any("ExpirationInDays" in rule for rule in rules), "landed files never expire"


def test_the_jobs_bucket_expires_what_may_hold_links(synth: Callable[..., Template]) -> None:
    _, resource = synth().the("AWS::S3::Bucket", "JobsBucket")
    rules = resource["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule] == [90]


def test_the_table_is_on_demand_recoverable_and_forgets(template: Template) -> None:
    _, table = template.the("AWS::DynamoDB::Table")
    properties = table["Properties"]
    assert [key["AttributeName"] for key in properties["KeySchema"]] == ["pk", "sk"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_no_custom_resource_hides_a_function_of_cdks_own(template: Template) -> None:
    types = {resource["Type"] for resource in template.body["Resources"].values()}
    assert not [each for each in types if each.startswith(("Custom::", "AWS::CloudFormation::CustomResource"))]


def test_the_app_refuses_a_setting_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="max_concurency: no such setting"):
        build({"aws:cdk:bundling-stacks": [], "max_concurency": "7"})


def test_the_app_runs_as_the_cdk_command_runs_it(tmp_path: Path) -> None:
    """Context comes by CDK_CONTEXT_JSON, the template goes to CDK_OUTDIR, no node is on the PATH."""
    context = {"aws:cdk:bundling-stacks": [], "stage": "cli", "max_concurrency": "9"}
    run = subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        cwd=ROOT,
        env={
            "PATH": "",
            "HOME": os.environ.get("HOME", ""),
            "CDK_OUTDIR": str(tmp_path),
            "CDK_CONTEXT_JSON": json.dumps(context),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    template = Template("sluiceway-cli", json.loads((tmp_path / "sluiceway-cli.template.json").read_text()))
    _, properties = template.function("dispatch_files")
    assert properties["Environment"]["Variables"]["SLUICEWAY_MAX_CONCURRENCY"] == "9"
