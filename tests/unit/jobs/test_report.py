"""The lines of the outputs and the details of events."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest

from sluiceway.errors import DigestMismatchError, InvalidJobError, SourceStatusError
from sluiceway.exports.formats import read_entries
from sluiceway.jobs.counts import Counts
from sluiceway.jobs.events import file_event, job_event
from sluiceway.jobs.files import MEASURES, FileResult, FileTask
from sluiceway.jobs.report import failed_line, report_line, sum_line, summary
from sluiceway.jobs.states import FileState
from sluiceway.spec import Entry, read_tasks

HEX = "ab" * 32
TASK = FileTask("https://user:pw@host/a%20b?sig=secret", "landing", "in/a b", 5, {"sha256": HEX}, "sluiceway/h", n=3)
# As lists are kept: without a user.
LISTED = replace(TASK, url="https://host/a%20b?sig=secret")
STORED = FileResult(FileState.STORED, 5, {"sha256": HEX}, '"etag"', 1, ("caller:sha256",), seconds=0.5)


def test_a_report_line_names_the_file_and_its_end_and_no_secret() -> None:
    line = json.loads(report_line(TASK, STORED))

    assert line["url"] == "https://host/a%20b?redacted"
    required = ("bucket", "key", "status", "bytes", "sha256", "etag", "error", "verified_by", "parts", "seconds")
    assert [line[name] for name in required] == [
        "landing", "in/a b", "STORED", 5, HEX, '"etag"', None, ["caller:sha256"], 1, 0.5,
    ]  # fmt: skip


def test_a_report_line_tells_everything_that_was_measured() -> None:
    measured = {name: n for n, name in enumerate(MEASURES, 2)}
    result = FileResult(
        FileState.REJECTED, 5, {"sha256": HEX, "md5": "0" * 32}, '"etag"', 3, ("caller:sha256", "source:md5"),
        "because", "DigestMismatchError", "md5 differs", segments=4, source_validator='"v1"', overruled="SKIPPED",
        **measured,
    )  # fmt: skip
    # Of the fields, those that are not for readers: how a file is gone on with.
    kept = {field.name for field in fields(FileResult)} - {"staged", "checkpoint", "links_round"}
    assert all(getattr(result, name) != field.default for field in fields(FileResult) if (name := field.name) in kept)

    assert json.loads(report_line(TASK, result)) == {
        "url": "https://host/a%20b?redacted",
        "bucket": "landing",
        "key": "in/a b",
        "status": "REJECTED",
        "bytes": 5,
        "sha256": HEX,
        "etag": '"etag"',
        "error": {"type": "DigestMismatchError", "message": "md5 differs"},
        "reason": "because",
        "overruled": "SKIPPED",
        "digests": {"sha256": HEX, "md5": "0" * 32},
        "source_validator": '"v1"',
        "verified_by": ["caller:sha256", "source:md5"],
        "parts": 3,
        "segments": 4,
        **measured,
    }


def test_what_was_measured_stays_with_a_file_that_fails_in_the_end() -> None:
    measured = {name: n for n, name in enumerate(MEASURES, 2)}
    staged = FileResult(FileState.STAGED, 5, {"sha256": HEX}, parts=1, staged={"upload_id": "u"}, **measured)
    failed = staged.ended_by(SourceStatusError("status 404", status=404))
    assert failed == FileResult(
        FileState.FAILED, 5, error_type="SourceStatusError", error_message="status 404", **measured
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [(SourceStatusError("status 404", status=404), "FAILED"), (DigestMismatchError("sha256 differs"), "REJECTED")],
)
def test_a_report_line_tells_why_a_file_did_not_land(error: SourceStatusError, status: str) -> None:
    line = json.loads(report_line(TASK, FileResult.of_error(error, bytes=7)))
    assert (line["status"], line["bytes"]) == (status, 7)
    assert line["error"] == {"type": type(error).__name__, "message": str(error)}


def test_a_failed_line_is_a_manifest_entry_of_the_same_file() -> None:
    entries = read_entries(io.BufferedReader(io.BytesIO(failed_line(LISTED))), "failed.jsonl")
    (again,) = read_tasks(entries, bucket="another", prefix="")
    assert (again.url, again.bucket, again.key) == (LISTED.url, TASK.bucket, TASK.key)
    assert (again.size, again.digests, again.headers_secret) == (TASK.size, TASK.digests, TASK.headers_secret)


def test_a_failed_line_keeps_how_the_file_is_asked_for_and_what_it_must_hold() -> None:
    access = "jobs/acme-1/access-0123456789abcdef.json"
    task = replace(LISTED, digests={"rows": "7"}, split="crc", access=access)
    entries = read_entries(io.BufferedReader(io.BytesIO(failed_line(task))), "failed.jsonl")
    (again,) = read_tasks(entries, bucket="another", prefix="")
    assert (again.digests, again.split, again.access) == ({"rows": "7"}, "crc", access)


@pytest.mark.parametrize(
    "access", ["jobs/a/job.json", "jobs/a/../b/access-0123456789abcdef.json", "requests/access-0123456789abcdef.json"]
)
def test_a_line_names_no_other_object(access: str) -> None:
    entry = Entry({"url": "https://h/x", "access": access}, "list line 1")
    with pytest.raises(InvalidJobError, match="list line 1, access: expected what a line of failed.jsonl says"):
        list(read_tasks([entry], bucket="b"))


@pytest.mark.parametrize("name", ["plain", "with space", "new\nline", "back\\slash", "car\rriage", "ünï", "\\n"])
def test_sha256sum_accepts_the_sums(name: str, tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / name).write_bytes(b"hello")
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    line = sum_line(FileTask("https://h/x", "landing", name), FileResult(FileState.STORED, 5, {"sha256": digest}))
    assert line is not None
    (tmp_path / "SHA256SUMS").write_bytes(line)

    check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "result",
    [
        FileResult(FileState.FAILED, digests={"sha256": HEX}),
        FileResult(FileState.STORED),
        FileResult(FileState.SKIPPED),
    ],
)
def test_only_what_landed_with_a_digest_has_a_sum(result: FileResult) -> None:
    assert sum_line(TASK, result) is None


def test_a_job_event_carries_what_rules_match_on() -> None:
    event = job_event(
        "j", state="FAILED", previous="TRANSFERRING", run=2, execution="arn", counts=Counts(stored=1, bytes=5)
    )
    assert event.detail_type == "Sluiceway Job State Change"
    assert event.detail == {
        "job_id": "j",
        "state": "FAILED",
        "previous": "TRANSFERRING",
        "run": 2,
        "execution": "arn",
        "files": {"stored": 1, "skipped": 0, "rejected": 0, "failed": 0, "cancelled": 0},
        "bytes": 5,
        "error": None,
    }


def test_a_file_event_holds_no_secret() -> None:
    event = file_event("j", TASK, FileResult.of_error(DigestMismatchError("differs")))
    assert event.detail_type == "Sluiceway File State Change"
    assert event.detail["error"] == {"type": "DigestMismatchError", "message": "differs"}
    assert "secret" not in json.dumps(event.detail) and "pw" not in json.dumps(event.detail)


def test_the_summary_carries_the_counts() -> None:
    made = summary("j", status="COMPLETED", run=1, execution="arn", counts=Counts(stored=2, bytes=9), files_total=2,
                   created_at="a", ended_at="b", seconds=1.5, error=None, outputs={})  # fmt: skip
    assert (made["files"]["stored"], made["bytes"], made["files_total"]) == (2, 9, 2)
