"""Documents and folders that would be taken half: refused, and nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.load import load
from sluiceway.errors import InvalidJobError
from tests.support.commands import sluiceway


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("job.yaml", "job_id: one\njob_id: two\nsource: {type: urls, files: []}\n"),
        ("job.yml", "source: {type: urls, files: []}\ndestination: {prefix: a/}\ndestination: {bucket: other}\n"),
        ("job.json", '{"source": {"type": "urls", "files": [], "files": ["https://a/b"]}}'),
    ],
)
def test_a_field_that_stands_twice_is_named(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidJobError, match="twice in one object"):
        load(str(path))


@pytest.mark.parametrize("place", ["a-file", "a-file/below"])
def test_a_landing_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("in the way")
    (tmp_path / "list.txt").write_text("https://example.org/a\n")

    ended = sluiceway("run", tmp_path / "list.txt", "--landed", tmp_path / place)

    assert ended.code == 2
    assert "--landed: expected a folder that can be made and written to" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("content", ["{", "[]", '{"sluiceway/a": 5}', '{"sluiceway/a": ""}', '{"": "planted"}'])
def test_a_secrets_file_that_holds_none_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.txt").write_text("https://example.org/a\n")
    (tmp_path / "secrets.json").write_text(content)

    ended = sluiceway("run", tmp_path / "list.txt", "--secrets", tmp_path / "secrets.json", cwd=tmp_path)

    assert ended.code == 2
    assert "--secrets" in ended.stderr and "Traceback" not in ended.stderr and "planted" not in ended.stderr
    assert not (tmp_path / "landed").exists()


def test_a_bucket_name_that_s3_would_refuse_is_refused_at_once() -> None:
    ended = sluiceway("copy", "https://example.org/a", "s3://BAD_Bucket/a")
    assert ended.code == 2
    assert "expected s3://BUCKET/KEY" in ended.stderr
