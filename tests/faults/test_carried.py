"""What a landed object carries besides its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sluiceway.jobs.files import FileResult, FileTask
from sluiceway.landing.land import land, land_or_pause
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.source.client import Client
from sluiceway.source.policy import UrlPolicy
from sluiceway.spec.document import MAX_JOB_METADATA_BYTES
from sluiceway.transfer.checkpoint import Checkpoint
from tests.faults.harness import BIG, KEY, PART, SMALL, s3_of
from tests.faults.source import YESTERDAY, File, Source, serve
from tests.faults.store import BUCKET, Store

SHA256 = {file: hashlib.sha256(file.body).hexdigest() for file in (BIG, SMALL)}


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


def carried(store: Store, file: File, options: Options | None = None, path: str = "/f.csv", **headers: str) -> Any:
    digests = {"digests": headers.pop("digests")} if "digests" in headers else {}
    with Source([serve(file, **headers)]) as source:
        s3 = s3_of(store)
        client = Client(UrlPolicy([source.host]))
        task = FileTask(source.url(path), BUCKET, KEY, **digests)
        land(task, options or Options(part_bytes=PART), client=client, s3=s3)
        client.close()
        head = s3.head_object(Bucket=BUCKET, Key=KEY)
        head["tags"] = {each["Key"]: each["Value"] for each in s3.get_object_tagging(Bucket=BUCKET, Key=KEY)["TagSet"]}
        return head


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_the_sources_facts_are_kept(store: Store, file: File) -> None:
    head = carried(
        store,
        file,
        Options(part_bytes=PART, job_id="job-7"),
        "/f.csv?sig=secret",
        Content_Type="text/csv; charset=utf-8",
        Content_Disposition='attachment; filename="report.csv"',
        Last_Modified="Mon, 02 Jan 2006 15:04:05 GMT",
    )
    assert head["ContentType"] == "text/csv; charset=utf-8"
    assert head["ContentDisposition"] == 'attachment; filename="report.csv"'
    metadata = head["Metadata"]
    assert metadata["mtime"] == "1136214245"
    assert metadata["source-etag"] == '"v1"'
    assert metadata["source-last-modified"] == "Mon, 02 Jan 2006 15:04:05 GMT"
    assert metadata["job-id"] == "job-7"
    assert metadata["source-url"].endswith("/f.csv?redacted")
    assert "secret" not in str(head)


def test_the_sha256_of_a_single_put_is_metadata(store: Store) -> None:
    head = carried(store, SMALL)
    assert head["Metadata"]["sha256"] == SHA256[SMALL]
    assert head["tags"] == {}


def test_the_sha256_of_an_upload_in_parts_is_a_tag_beside_the_jobs_own(store: Store) -> None:
    head = carried(store, BIG, Options(part_bytes=PART, tags={"team": "a b"}))
    assert head["tags"] == {"team": "a b", "sha256": SHA256[BIG]}


@pytest.mark.parametrize("stated", [False, True], ids=["found on the way", "stated beforehand"])
def test_the_sha256_of_a_relayed_file_is_carried_too(store: Store, stated: bool) -> None:
    options = Options(part_bytes=PART, tags={"team": "a b"})
    with Source([serve(BIG)]) as source:
        s3, client = s3_of(store), Client(UrlPolicy([source.host]))
        task = FileTask(source.url("/f.csv"), BUCKET, KEY, digests={"sha256": SHA256[BIG]} if stated else {})
        ends = TimeLeft(float("inf"))
        tools = Tools(client, s3, on_progress=lambda count: ends.end_now() if count > PART else None, time_left=ends)
        paused = land_or_pause(task, options, tools)
        assert isinstance(paused, Checkpoint)
        result = land_or_pause(task, options, Tools(client, s3), Checkpoint.from_dict(paused.to_dict()))
        client.close()
        head = s3.head_object(Bucket=BUCKET, Key=KEY)
        tags = {each["Key"]: each["Value"] for each in s3.get_object_tagging(Bucket=BUCKET, Key=KEY)["TagSet"]}
    assert isinstance(result, FileResult) and result.relays == 1
    assert tags == {"team": "a b"} | ({} if stated else {"sha256": SHA256[BIG]})
    assert head["Metadata"].get("sha256") == (SHA256[BIG] if stated else None)


def test_a_sha256_stated_beforehand_is_metadata_in_parts_too(store: Store) -> None:
    head = carried(store, BIG, digests={"sha256": SHA256[BIG]})  # type: ignore[arg-type]
    assert head["Metadata"]["sha256"] == SHA256[BIG]
    assert head["tags"] == {}


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_the_jobs_wishes_are_kept(store: Store, file: File) -> None:
    options = Options(
        part_bytes=PART,
        storage_class="STANDARD_IA",
        kms_key_id="arn:aws:kms:us-east-1:1:key/k",
        tags={"team": "data & co"},
        metadata={"owner": "me", "job-id": "mine"},
    )
    head = carried(store, file, options)
    assert head["StorageClass"] == "STANDARD_IA"
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "arn:aws:kms:us-east-1:1:key/k")
    assert head["tags"]["team"] == "data & co"
    assert (head["Metadata"]["owner"], head["Metadata"]["job-id"]) == ("me", "mine")


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.csv", "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.csv"),
        ('attachment; filename="résumé.csv"', "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.csv"),
        ("inline", "inline"),
    ],
)
def test_a_file_name_survives_in_a_form_s3_takes(store: Store, header: str, kept: str) -> None:
    assert carried(store, SMALL, Content_Disposition=header)["ContentDisposition"] == kept


@pytest.mark.parametrize("content_type", ["text/ünïcode", "x" * 2000])
def test_a_content_type_that_s3_would_refuse_is_not_passed_on(store: Store, content_type: str) -> None:
    assert carried(store, SMALL, Content_Type=content_type)["ContentType"] == "application/octet-stream"


def test_facts_that_exceed_two_kilobytes_never_cost_the_file(store: Store) -> None:
    options = Options(metadata={"note": "n" * 1200})
    head = carried(store, SMALL, options, "/" + "p" * 3000, Last_Modified=YESTERDAY)
    assert head["Metadata"]["note"] == "n" * 1200
    assert head["Metadata"]["source-etag"] == '"v1"'
    assert head["Metadata"]["sha256"] == SHA256[SMALL]
    assert "source-url" not in head["Metadata"]


@pytest.mark.parametrize("file", [BIG, SMALL], ids=["in parts", "at once"])
def test_all_the_metadata_that_a_job_may_have_is_kept(store: Store, file: File) -> None:
    options = Options(part_bytes=PART, metadata={"n": "n" * (MAX_JOB_METADATA_BYTES - 1)})
    head = carried(store, file, options, digests={"sha256": SHA256[file]})  # type: ignore[arg-type]
    assert head["Metadata"].keys() == {"n", "sha256", "sluiceway-attempt"}


def test_a_coding_of_s3s_own_framing_is_not_kept(store: Store) -> None:
    assert "ContentEncoding" not in carried(store, SMALL, Content_Encoding="aws-chunked, identity")
