"""A landed folder with something in the way: told by its path and what to do, and nothing is started."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from local.folder import FolderUnusableError
from local.s3_api import S3
from local.s3_errors import S3Error
from tests.support.commands import Ended, sluiceway

INDEX = ".sluiceway/objects.sqlite"


def refused(ended: Ended, path: Path) -> None:
    """One line of one mistake, the object of --json, and no traceback."""
    assert ended.code == 2, ended.stderr
    first, second = ended.stderr.splitlines()[-2:]
    assert first == "Error: --landed is not valid; nothing was started."
    assert second.startswith("  --landed: expected ") and str(path) in second
    assert "Traceback" not in ended.stderr
    assert ended.json["status"] == "INVALID"
    assert ended.json["error"] == {"type": "InvalidJobError", "message": second.strip()}


def run(folder: Path, landed: Path) -> Ended:
    (folder / "urls.txt").write_text("https://files.example.com/a\n")
    return sluiceway("run", "urls.txt", "--landed", landed, "--json", cwd=folder)


@pytest.mark.parametrize("content", [b"garbage", b"SQLite format 3\0" + bytes(4096)])
def test_an_index_that_is_none_is_named_and_a_new_one_finds_the_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing/a").write_text("abc")
    index = tmp_path / INDEX
    index.parent.mkdir()
    index.write_bytes(content)
    with pytest.raises(FolderUnusableError, match="objects.sqlite"):
        S3(tmp_path)
    index.rename(tmp_path / "old")
    s3 = S3(tmp_path)
    assert s3.store.head("landing", "a").size == 3
    s3.close()


@pytest.mark.parametrize("place", [".sluiceway", ".sluiceway/odd", INDEX])
def test_what_is_in_the_way_of_the_engines_own_files_is_named(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    if place == INDEX:
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("in the way")
    with pytest.raises(FolderUnusableError, match=str(path)):
        S3(tmp_path)


def test_a_file_in_the_place_of_a_bucket_is_told_as_s3_tells_a_name_that_is_taken(tmp_path: Path) -> None:
    s3 = S3(tmp_path)
    (tmp_path / "landing").write_text("x")
    with pytest.raises(
        S3Error, match="BucketAlreadyExists: a file is where the folder of the bucket would be"
    ) as caught:
        s3.store.create_bucket("landing")
    assert caught.value.status == 409
    s3.close()


def test_a_bucket_on_another_file_system_is_named(tmp_path: Path) -> None:
    landed = tmp_path / "landed"
    landed.mkdir()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (landed / "landing").symlink_to(elsewhere)
        (tmp_path / "urls.txt").write_text("https://files.example.com/a\n")
        refused(run(tmp_path, landed), landed / "landing")


def test_a_run_into_a_broken_index_says_which_file_to_move(tmp_path: Path) -> None:
    index = tmp_path / "landed" / INDEX
    index.parent.mkdir(parents=True)
    index.write_text("garbage")
    refused(run(tmp_path, tmp_path / "landed"), index)
    assert index.read_text() == "garbage"


@pytest.mark.parametrize("bucket", ["landing", "other"])
def test_a_run_whose_bucket_is_a_file_says_so(tmp_path: Path, bucket: str) -> None:
    landed = tmp_path / "landed"
    landed.mkdir()
    (landed / bucket).write_text("x")
    (tmp_path / "files.jsonl").write_text(f'{{"url": "https://files.example.com/a", "bucket": "{bucket}"}}')
    refused(sluiceway("run", "files.jsonl", "--landed", landed, "--json", cwd=tmp_path), landed / bucket)


def test_a_folder_that_is_a_file_is_named_and_not_the_job(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("https://files.example.com/a\n")
    for command in (("run", "urls.txt"), ("engine", "start")):
        refused(sluiceway(*command, "--landed", "urls.txt", "--json", cwd=tmp_path), Path("urls.txt"))
