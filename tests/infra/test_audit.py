"""The rule pack and the linter: they run, they pass, and they would not pass just anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from app import build
from tests.infra.conftest import UNBUNDLED
from tests.infra.template import Template

KEY = "arn:aws:kms:eu-west-1:111122223333:key/12345678-90ab-cdef-1234-567890abcdef"
EVERYTHING: dict[str, str] = {
    "stage": "full",
    "destination_buckets": "acme-raw,acme-cold",
    "manifest_buckets": "acme-lists",
    "event_bus": "data-platform",
    "landing_kms_key_arn": KEY,
    "kms_key_arns": KEY.replace("12345678", "22345678"),
    "access_log_bucket": "acme-logs",
    "permission_boundary_arn": "arn:aws:iam::111122223333:policy/Boundary",
    "vpc_id": "vpc-0a1b2c3d",
    "vpc_subnet_ids": "subnet-1a1b2c3d,subnet-2a1b2c3d",
    "vpc_route_table_ids": "rtb-0a1b2c3d",
    "alarm_email": "oncall@example.com",
    "process_file_reserved_concurrency": "50",
    "callback_reserved_concurrency": "5",
}
# Settings under which other constructs are made; synth() raises when the rule pack objects.
SETTINGS: dict[str, dict[str, str]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "existing bucket": {"landing_bucket": "acme-landing"},
}


@pytest.fixture(scope="module")
def findings(synth: Callable[..., Template], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What cfn-lint says of each template. One run for all: it takes seconds to start."""
    folder = tmp_path_factory.mktemp("templates")
    bodies = {name: synth(**settings).body for name, settings in SETTINGS.items()}
    bodies["broken"] = json.loads(json.dumps(bodies["defaults"]))
    name, _ = synth().function("process_file")
    bodies["broken"]["Resources"][name]["Properties"]["MemorySize"] = 64
    for name, body in bodies.items():
        (folder / f"{name}.json").write_text(json.dumps(body))
    # W3005: CDK says twice that a function follows its role.
    run = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("cfn-lint")), "--format", "parseable"),
            *("--non-zero-exit-code", "none", "--ignore-checks", "W3005"),
            *("--template", *sorted(str(path) for path in folder.iterdir())),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    return {name: "\n".join(line for line in said if f"/{name}.json:" in line) for name in bodies}


@pytest.mark.parametrize("settings", SETTINGS)
def test_rules_and_linter_find_nothing_unexplained(findings: dict[str, str], settings: str) -> None:
    assert findings[settings] == ""


def test_the_linter_objects_to_a_template_that_cannot_be_deployed(findings: dict[str, str]) -> None:
    assert "E3034" in findings["broken"]


@pytest.mark.parametrize(
    ("add", "rule"),
    [
        (lambda scope: s3.Bucket(scope, "Open"), "AwsSolutions-S10"),
        (
            lambda scope: iam.Policy(
                scope,
                "Wide",
                roles=[iam.Role(scope, "Role", assumed_by=iam.AccountRootPrincipal())],
                statements=[iam.PolicyStatement(actions=["s3:GetObject"], resources=["*"])],
            ),
            "AwsSolutions-IAM5",
        ),
    ],
    ids=["a bucket without TLS", "a wildcard"],
)
def test_what_nobody_explained_fails_the_synthesis(
    add: Callable[[Construct], object], rule: str, tmp_path: Path
) -> None:
    app = build(UNBUNDLED, outdir=tmp_path)
    add(cast(Construct, app.node.find_child("sluiceway")))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert rule in (tmp_path / "validation-report.json").read_text()


# Names of things that live in something of the stack's own, or that the stack does not make.
IN_THEIR_OWN_PARENT = ("EventBusName", "PolicyName", "MetricName")


def test_two_stages_share_no_name(synth: Callable[..., Template]) -> None:
    one, two = synth(stage="one"), synth(stage="two")
    assert {one.stack_name, two.stack_name} == {"sluiceway-one", "sluiceway-two"}
    assert not names(one) & names(two)


def names(template: Template) -> set[tuple[str, str]]:
    """Names that CloudFormation is told instead of choosing: two stacks may not choose the same."""
    return {
        (resource["Type"], value)
        for resource in template.body["Resources"].values()
        for key, value in resource.get("Properties", {}).items()
        if key.endswith("Name") and isinstance(value, str) and key not in IN_THEIR_OWN_PARENT
    }


def test_a_boundary_by_setting_bounds_every_role(synth: Callable[..., Template]) -> None:
    roles = synth(**EVERYTHING).of_type("AWS::IAM::Role")
    assert {role["Properties"]["PermissionsBoundary"] for role in roles.values()} == {
        EVERYTHING["permission_boundary_arn"]
    }
    assert all("PermissionsBoundary" not in role["Properties"] for role in synth().of_type("AWS::IAM::Role").values())


def test_access_logs_and_the_landing_key_go_where_the_settings_say(synth: Callable[..., Template]) -> None:
    template = synth(**EVERYTHING)
    for bucket in template.of_type("AWS::S3::Bucket").values():
        assert bucket["Properties"]["LoggingConfiguration"]["DestinationBucketName"] == "acme-logs"
    _, landing = template.the("AWS::S3::Bucket", "LandingBucket")
    (rule,) = landing["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
