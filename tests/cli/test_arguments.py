"""What the command says to arguments that are wrong: exit 2, the argument's name, what was found and expected."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cli.copy import parse
from cli.main import app
from tests.support.commands import sluiceway

ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint"
GOOD = ["https://example.org/a", "s3://bucket/key"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ftp://example.org/a", "s3://b/k"], ["URL", "a URL like https://host/path", "'ftp://example.org/a'"]),
        (["ftp://me:planted@example.org/a?sig=planted", "s3://b/k"], ["URL", "'ftp://example.org/a?redacted'"]),
        (["https:///a", "s3://b/k"], ["URL", "a URL that names a host"]),
        (["https://example.org/a b", "s3://b/k"], ["URL", "without spaces", "'https://example.org/a b'"]),
        (["https://[::1/a", "s3://b/k"], ["URL", "IPv6 in brackets"]),
        (["https://example.org/a", "bucket/key"], ["s3://BUCKET/KEY", "'bucket/key'"]),
        (["https://example.org/a", "s3://bucket"], ["s3://BUCKET/KEY", "'s3://bucket'"]),
        (["https://example.org/a", "s3://bucket/"], ["s3://BUCKET/KEY", "'s3://bucket/'"]),
        (["https://example.org/a", "s3:///key"], ["s3://BUCKET/KEY", "'s3:///key'"]),
        (["https://example.org/a", f"s3://{ARN}/in"], ["s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/KEY", ARN]),
        (
            ["https://example.org/a", "s3://arn:aws:s3:::bucket/key"],
            ["s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME"],
        ),
        ([*GOOD, "--sha256", "abc"], ["--sha256", "64 hex digits", "'abc'"]),
        ([*GOOD, "--sha256", "z" * 64], ["--sha256", "64 hex digits"]),
        ([*GOOD, "--md5", "a" * 64], ["--md5", "32 hex digits"]),
        ([*GOOD, "--size", "-1"], ["--size", "at least 0", "'-1'"]),
        ([*GOOD, "--size", "big"], ["--size", "'big'"]),
        ([*GOOD, "--max-bytes", "0"], ["--max-bytes", "at least 1"]),
        ([*GOOD, "--part-mib", "4"], ["--part-mib", "from 5 to 5120"]),
        ([*GOOD, "--uploaders", "0"], ["--uploaders", "from 1 to 16"]),
        ([*GOOD, "--allow-source", "http://10.0.0.1"], ["--allow-source", "HOST:PORT", "'http://10.0.0.1'"]),
        ([*GOOD, "--allow-source", "10.0.0.1:99999"], ["--allow-source", "port from 1 to 65535", "'10.0.0.1:99999'"]),
        ([*GOOD, "--allow-source", "10.0.0.1:0"], ["--allow-source", "port from 1 to 65535"]),
        ([*GOOD, "--allow-source", "999.1.1.1"], ["--allow-source", "an IP address that is one", "'999.1.1.1'"]),
        ([*GOOD, "--allow-source", "[fd00:::1]:80"], ["--allow-source", "an IP address that is one"]),
        ([*GOOD, "--ca-bundle", __file__], ["--ca-bundle", "expected certificates in PEM", __file__]),
        ([*GOOD, "--ca-bundle", "/dev/null"], ["--ca-bundle", "expected certificates in PEM", "/dev/null"]),
        ([*GOOD, "--if-exists", "maybe"], ["--if-exists", "skip-unchanged"]),
        ([*GOOD, "--part-checksum", "md5"], ["--part-checksum", "crc64nvme"]),
        ([*GOOD, "--ca-bundle", "/nowhere/ca.pem"], ["--ca-bundle", "/nowhere/ca.pem"]),
        ([*GOOD, "--sha-256", "abc"], ["--sha-256"]),
        (["https://example.org/a"], ["s3://BUCKET/KEY"]),
    ],
)
def test_copy_names_the_wrong_argument(arguments: list[str], told: list[str]) -> None:
    result = CliRunner().invoke(app, ["copy", *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "planted" not in result.stderr
    for text in told:
        assert text in result.stderr


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("s3://b/a/b c/ü?#.csv", "b", "a/b c/ü?#.csv"),
        ("s3://b//a\n", "b", "/a\n"),
        (f"s3://{ARN}/in/a/b.csv", f"{ARN}/in", "a/b.csv"),
        (f"s3://{ARN}:in/a/b.csv", f"{ARN}:in", "a/b.csv"),
        ("s3://arn:aws-cn:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap/a",
         "arn:aws-cn:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "a"),
    ],
)  # fmt: skip
def test_a_target_is_a_bucket_or_an_access_point_and_a_key(target: str, bucket: str, key: str) -> None:
    request = parse(
        GOOD[0], target, digests={}, size=None, max_bytes=None, part_mib=None, uploaders=1, if_exists="overwrite",
        part_checksum="none", allow_source=[], ca_bundle=None,
    )  # fmt: skip
    assert (request.task.bucket, request.task.key) == (bucket, key)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://127.0.0.1", "http://[::1", "https://"])
def test_an_endpoint_that_is_no_url_is_named(endpoint: str) -> None:
    result = CliRunner().invoke(app, ["list", "--endpoint-url", endpoint])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"expected a URL like http://127.0.0.1:4700, found '{endpoint}'" in result.stderr


def test_a_wrong_argument_is_an_object_on_stdout_where_json_was_asked_for() -> None:
    ended = sluiceway("copy", "x", "s3://a/b", "--json")
    assert (ended.code, len(ended.stdout.splitlines())) == (2, 1)
    assert (ended.json["job_id"], ended.json["status"]) == (None, "INVALID")
    assert ended.json["error"]["type"] == "InvalidArgumentError"
    assert "expected a URL like https://host/path, found 'x'" in ended.json["error"]["message"]
    assert "Error: Invalid value for URL" in ended.stderr


@pytest.mark.parametrize("command", ["run", "copy"])
def test_help_teaches_with_examples_and_exit_codes(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert "Exit codes:" in result.stdout
