"""Settings: what is accepted, and what is said about what is not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.describe import PAGE, table
from infra.settings import Settings, split_assignments


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("process_file_memory_mb", "1769", 1769),
        ("process_file_memory_mb", 1769.0, 1769),
        ("process_file_timeout_seconds", "900", 900),
        ("uploaders", "4", 4),
        ("part_mib", "auto", "auto"),
        ("part_mib", "32", 32),
        ("part_checksum", "crc32", "crc32"),
        ("max_concurrency", "7", 7),
        ("max_file_bytes", "5497558138880", 5 * 1024**4),
        ("progress_seconds", "0.5", 0.5),
        (
            "allowed_sources",
            "localhost:8080, [::1]:80,files.internal",
            ("localhost:8080", "[::1]:80", "files.internal"),
        ),
        ("allowed_sources", "", ()),
        (
            "only_hosts",
            "files.example,.cdn.example,[2606:2800::1]",
            ("files.example", ".cdn.example", "[2606:2800::1]"),
        ),
        ("destination_buckets", "one-bucket,two-bucket,one-bucket", ("one-bucket", "two-bucket")),
        ("manifest_buckets", ["one-bucket"], ("one-bucket",)),
        ("secret_prefix", "team/vendor-", "team/vendor-"),
        ("event_bus", "data-platform", "data-platform"),
        ("file_events", "STORED,FAILED", ("STORED", "FAILED")),
        ("file_events", "", ()),
        ("log_retention_days", "14", 14),
        ("stage", "", ""),
    ],
)
def test_text_and_typed_values_become_the_settings_type(name: str, given: Any, value: Any) -> None:
    parsed = getattr(Settings.from_context({name: given}), name)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("process_file_memory_mb", "127", "a whole number from 128 to 10240"),
        ("process_file_memory_mb", "lots", "a whole number from 128 to 10240"),
        ("process_file_memory_mb", True, "a whole number from 128 to 10240"),
        ("process_file_timeout_seconds", "901", "a whole number from 1 to 900"),
        ("max_concurrency", "0", "a whole number from 1 to 10000"),
        ("max_concurrency", "1.5", "a whole number from 1 to 10000"),
        ("part_mib", "4", "auto, or a whole number from 5 to 5120 (MiB)"),
        ("part_checksum", "md5", "one of crc64nvme, crc32, none"),
        ("progress_seconds", "soon", "a number from 0.1 to 900"),
        ("progress_seconds", "nan", "a number from 0.1 to 900"),
        ("allowed_sources", "https://host/", "a list, each item HOST or HOST:PORT"),
        ("allowed_sources", "h:99999", "a list, each item HOST or HOST:PORT with a port from 1 to 65535"),
        ("only_hosts", "*.cdn.example", "a list, each item HOST or .DOMAIN"),
        ("only_hosts", "host:8080", "a list, each item HOST or .DOMAIN"),
        ("destination_buckets", "bucket/*", "a list, each item the name of a bucket"),
        ("destination_buckets", "*", "a list, each item the name of a bucket"),
        ("manifest_buckets", 7, "a list, comma between its items"),
        ("secret_prefix", "*", "the beginning of a secret's name, not empty, no wildcard"),
        ("secret_prefix", "", "the beginning of a secret's name, not empty, no wildcard"),
        ("file_events", "RUNNING", "a list, each item one of STORED"),
        ("log_retention_days", "8", "one of 1, 3, 5, 7"),
        ("stack_name", "1st", "a CloudFormation stack name"),
        ("kms_key_arns", "arn:aws:kms:*:*:key/*", "a list, each item the ARN of a key"),
        ("permission_boundary_arn", "Boundary", "the ARN of a managed policy"),
        ("alarm_email", "nobody", "an e-mail address"),
    ],
)
def test_a_wrong_value_is_refused_naming_setting_found_and_expected(name: str, given: Any, expected: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Settings.from_context({name: given})
    assert str(refusal.value).startswith(f"{name}: expected {expected}")
    assert str(refusal.value).endswith(f"found {given!r}")


def test_every_mistake_is_told_at_once_and_an_unknown_name_with_the_known_ones() -> None:
    with pytest.raises(ValueError) as refusal:
        Settings.parse({"max_concurency": "7", "uploaders": "none"})
    unknown, wrong = str(refusal.value).splitlines()
    assert unknown.startswith("max_concurency: no such setting")
    assert "max_concurrency" in unknown
    assert wrong == "uploaders: expected a whole number from 1 to 16, found 'none'"


def test_assignments_are_split_at_the_first_equals_sign_and_the_last_wins() -> None:
    assert split_assignments(["secret_prefix=a=b", "uploaders=1", "uploaders=3"]) == {
        "secret_prefix": "a=b",
        "uploaders": "3",
    }
    assert Settings.parse(["uploaders=3"]).uploaders == 3


@pytest.mark.parametrize("text", ["uploaders", "=3", ""])
def test_an_assignment_without_name_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        Settings.parse([text])


def test_a_stage_is_part_of_the_stacks_id() -> None:
    assert Settings().stack_id == "sluiceway"
    assert Settings.parse(["stack_name=lander", "stage=test"]).stack_id == "lander-test"


def test_defaults_pass_their_own_checks() -> None:
    defaults = {name: default for name, default, _ in Settings.describe()}
    assert Settings.from_context(defaults) == Settings()
    assert all(about for _, _, about in Settings.describe())


@pytest.mark.parametrize(
    "settings",
    [{"vpc_id": "vpc-1a"}, {"vpc_subnet_ids": "subnet-1a"}, {"vpc_route_table_ids": "rtb-1a"}],
    ids=lambda settings: str(*settings),
)
def test_half_a_vpc_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected (only )?with vpc_id"):
        Settings.parse(settings)


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"part_mib": "512"}, 5120),
        ({"part_mib": "52"}, 520),
        ({"part_mib": "51", "uploaders": "3"}, 680),
        ({"part_mib": "5", "uploaders": "16", "process_file_memory_mb": "128"}, 284),
        # Planned parts have at least S3's smallest size.
        ({"uploaders": "16", "process_file_memory_mb": "128"}, 284),
    ],
    ids=str,
)
def test_part_buffers_that_outgrow_their_share_of_memory_are_refused(settings: dict[str, str], needed: int) -> None:
    with pytest.raises(ValueError, match=f"^process_file_memory_mb: expected at least {needed} with uploaders "):
        Settings.parse(settings)
    with pytest.raises(ValueError, match=f"expected at least {needed} "):
        Settings.parse({**settings, "process_file_memory_mb": str(needed - 1)})
    assert Settings.parse({**settings, "process_file_memory_mb": str(needed)}).uploaders


def test_the_larger_function_must_hold_them_as_well() -> None:
    told = r"^process_file_large_memory_mb: expected at least 520 .*\(3 buffers of 52 MiB in 30% of it\), found 512$"
    with pytest.raises(ValueError, match=told):
        Settings.parse({"part_mib": "52", "process_file_memory_mb": "1024", "process_file_large_memory_mb": "512"})


def test_the_deploy_page_tells_of_every_setting() -> None:
    assert table() in PAGE.read_text(), "run `python -m infra.describe`"
