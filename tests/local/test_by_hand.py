"""Files that a user puts, changes or removes under the landed folder, beside what comes through S3."""

from __future__ import annotations

import os

import pytest

from local.s3_api import S3
from tests.local.support import Running, code_of


def test_files_that_came_or_went_by_hand_are_noticed(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="gone", Body=b"1", Metadata={"a": "1"})
    running.client.put_object(Bucket="landing", Key="kept", Body=b"1", Metadata={"a": "1"})
    running.client.put_object(Bucket="landing", Key="edited", Body=b"1", Metadata={"a": "1"})
    (running.landed / "landing/gone").unlink()
    (running.landed / "landing/edited").write_bytes(b"by hand")
    (running.landed / "landing/came").write_bytes(b"also by hand")
    assert code_of(lambda: running.client.get_object(Bucket="landing", Key="gone")) == "NoSuchKey"
    assert running.client.get_object(Bucket="landing", Key="edited")["Body"].read() == b"by hand"
    running.s3.close()
    second = S3(running.landed)
    try:
        keys = [record.key for record in second.store.index.list("landing", "", "", "", 10).records]
        assert keys == ["came", "edited", "kept"]
        assert second.store.head("landing", "kept").headers["x-amz-meta-a"] == "1"
    finally:
        second.close()


def test_what_came_or_went_is_told_without_a_restart_to_who_asks_for_it(running: Running) -> None:
    running.client.put_object(Bucket="landing", Key="gone", Body=b"1")
    (running.landed / "landing/gone").unlink()
    (running.landed / "landing/folder").mkdir()
    (running.landed / "landing/folder/came").write_bytes(b"by hand")
    assert running.client.get_object(Bucket="landing", Key="folder/came")["Body"].read() == b"by hand"
    for nothing in ("gone", "folder", "folder/came/below"):
        assert code_of(lambda key=nothing: running.client.head_object(Bucket="landing", Key=key)) == "404"  # type: ignore[misc]
    listed = running.client.list_objects_v2(Bucket="landing")["Contents"]
    assert [(item["Key"], item["Size"]) for item in listed] == [("folder/came", 7)]


def test_a_file_that_came_by_hand_is_not_written_over_by_who_wants_a_free_key(running: Running) -> None:
    (running.landed / "landing/mine").write_bytes(b"by hand")
    put, copy = running.client.put_object, running.client.copy_object
    running.client.put_object(Bucket="landing", Key="other", Body=b"1")
    source = {"Bucket": "landing", "Key": "other"}
    assert code_of(lambda: put(Bucket="landing", Key="mine", Body=b"new", IfNoneMatch="*")) == "PreconditionFailed"
    assert (
        code_of(lambda: copy(Bucket="landing", Key="mine", CopySource=source, IfNoneMatch="*")) == "PreconditionFailed"
    )
    assert (running.landed / "landing/mine").read_bytes() == b"by hand"
    running.client.delete_object(Bucket="landing", Key="mine")
    assert not (running.landed / "landing/mine").exists()


def test_a_bucket_with_files_that_came_by_hand_is_not_deleted(running: Running) -> None:
    (running.landed / "landing/deep").mkdir()
    file = running.landed / "landing/deep" / os.fsdecode(b"caf\xe9.csv")
    file.write_bytes(b"by hand")
    assert code_of(lambda: running.client.delete_bucket(Bucket="landing")) == "BucketNotEmpty"
    file.unlink()
    running.client.delete_bucket(Bucket="landing")
    assert not (running.landed / "landing").exists()


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"folder-\xff/b"])
def test_a_name_that_no_key_can_be_keeps_no_engine_from_starting(running: Running, name: bytes) -> None:
    running.s3.close()
    file = running.landed / "landing" / os.fsdecode(name)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"of another encoding")
    (running.landed / "landing/a").write_bytes(b"1")
    second = S3(running.landed)
    try:
        assert [record.key for record in second.store.index.list("landing", "", "", "", 10).records] == ["a"]
    finally:
        second.close()
    assert file.exists()
