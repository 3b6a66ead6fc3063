"""The functions: what they are told, and the memory, time, network and concurrency they have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.functions import folder_of
from sluiceway.config import Config
from tests.infra.names import FOLDERS, SETTINGS, TOKENS, TRACES
from tests.infra.template import Template, environment, text

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
INTERFACES = {
    *("ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"),
    *("ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
}


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


@pytest.mark.parametrize(
    ("name", "folder"), [("ProcessFile", "process_file"), ("StartExport", "start_export"), ("Copy", "copy")]
)
def test_a_states_name_gives_the_folder(name: str, folder: str) -> None:
    assert folder_of(name) == folder
