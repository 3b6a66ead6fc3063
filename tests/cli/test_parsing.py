"""What the parsers themselves refuse: told as a mistake of the job, with the place, without the text around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.load import load
from cli.parsing import parse_yaml
from cli.refusal import refuse
from sluiceway.errors import InvalidJobError

DEEP = "[" * 100_000
FILES = "source: {type: urls, files: []}\n"


def told(path: Path) -> list[str]:
    with pytest.raises(InvalidJobError) as caught:
        load(str(path))
    assert "planted" not in str(caught.value)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"source":' + DEEP, "job: not valid JSON: too many levels of nesting"),
        ("a.json", '{"source":\n' + DEEP, "job: not valid JSON: too many levels of nesting"),
        ("a.json", '{"limits": {"max_concurrency": ' + "9" * 5000 + "}}",
         "job: not valid JSON: a number of 5000 digits"),
        ("a.json", '{"source": {"type": "urls", "files": [' + "[" * 99 + "]" * 99 + "]}}",
         "job: expected at most 64 levels of nesting, found more"),
        ("a.json", '{"job_id": "\udcff"}', "job: not valid JSON: bytes that are not UTF-8"),
        ("a.yaml", DEEP[:5000], "job: not valid YAML: too many levels of nesting"),
        ("a.yaml", f"job_id: 2026-13-45\n{FILES}",
         "job: not valid YAML: what looks like a value of the kind timestamp and is none; in quotes it is a "
         "string, line 1, column 9"),
        ("a.yaml", f'{FILES}job_id: !!int "planted"\n',
         "job: not valid YAML: what looks like a value of the kind int and is none; in quotes it is a string, "
         "line 2, column 9"),
        ("a.yaml", f"{FILES}job_id: {'9' * 5000}\n",
         "job: not valid YAML: what looks like a value of the kind int and is none; in quotes it is a string, "
         "line 2, column 9"),
        ("a.yaml", f'{FILES}job_id: !!bool "planted"\n',
         "job: not valid YAML: what looks like a value of the kind bool and is none; in quotes it is a string, "
         "line 2, column 9"),
        ("a.yaml", f'{FILES}job_id: !!timestamp "planted"\n',
         "job: not valid YAML: what looks like a value of the kind timestamp and is none; in quotes it is a "
         "string, line 2, column 9"),
        ("a.yaml", "task_token: 'planted\n", "job: not valid YAML: while scanning a quoted scalar, found "
         "unexpected end of stream, line 2, column 1"),
        ("a.yaml", f"job_id: 2026-11-23\n{FILES}",
         "job_id: expected 1 to 80 of letters, digits, '.', '_' and '-', the first a letter or digit, found a date; in "
         "quotes it is a string"),
        ("a.yaml", f"job_id: 20261123\n{FILES}",
         "job_id: expected 1 to 80 of letters, digits, '.', '_' and '-', the first a letter or digit, found 20261123; "
         "in quotes it is a string"),
        ("a.yaml", f"{FILES}destination: {{prefix: 2026}}\n",
         "destination.prefix: expected a string, found 2026; in quotes it is a string"),
        ("a.json", '{"source": 1,}',
         "job: not valid JSON: Expecting property name enclosed in double quotes: line 1 column 14 (char 13)"),
        ("a.yaml", "", "job: expected an object, or a list of files, found nothing"),
        ("a.yaml", "5", "job: expected an object, or a list of files, found 5"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_read_is_refused_by_its_place(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert told(path) == [expected]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("- &a {url: https://h/a, bucket: other}\n- {<<: *a, url: https://h/b}\n",
         [{"url": "https://h/a", "bucket": "other"}, {"url": "https://h/b", "bucket": "other"}]),
        ("- &a {url: https://h/a, size: 1}\n- &b {<<: *a, url: https://h/b, size: 2}\n- {<<: [*b, *a], url: https://h/c}\n",
         [{"url": f"https://h/{key}", "size": size} for key, size in (("a", 1), ("b", 2), ("c", 2))]),
        # A mapping that stands deeper is made after one that takes its fields.
        ("- [[&a {url: https://h/a, key: a}, &b {<<: *a, key: b}]]\n- {<<: *b}\n",
         [[[{"url": "https://h/a", "key": "a"}, {"url": "https://h/a", "key": "b"}]],
          {"url": "https://h/a", "key": "b"}]),
    ],
    ids=["one", "several", "deeper"],
)  # fmt: skip
def test_merge_keys_bring_in_fields_that_others_replace(tmp_path: Path, text: str, files: list[Any]) -> None:
    (tmp_path / "list.yaml").write_text(text)
    assert parse_yaml(tmp_path / "list.yaml") == files


@pytest.mark.parametrize(
    ("written", "read"),
    [("123", 123), ("0", 0), ("-5", -5), ("0123", "0123"), ("00", "00"), ("0x1F", "0x1F"), ("0b11", "0b11"),
     ("1_000", "1_000"), ("1:30", "1:30"), ("+7", 7)],
)  # fmt: skip
def test_a_number_is_one_only_where_all_who_read_yaml_agree(tmp_path: Path, written: str, read: int | str) -> None:
    (tmp_path / "a.yaml").write_text(f"size: {written}\n")
    assert parse_yaml(tmp_path / "a.yaml") == {"size": read}


def test_a_list_of_no_depth_that_ends_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(DEEP)
    assert told(tmp_path / "a.json") == ["a.json[0]: expected at most 64 levels of nesting, found more"]
    (tmp_path / "a.jsonl").write_text('{"url": "https://h/a"}\n{"url": ' + DEEP)
    assert told(tmp_path / "a.jsonl") == ["a.jsonl line 2: expected at most 64 levels of nesting, found more"]


@pytest.mark.parametrize("text", ["-", "/dev/stdin", "/dev/fd/0"])
def test_stdin_is_not_read_and_the_text_says_what_to_do(text: str) -> None:
    if Path(text).is_file():
        pytest.skip("stdin is a regular file here")
    with pytest.raises(InvalidJobError) as caught:
        load(text)
    assert str(caught.value) == (
        f"JOB: expected a regular file: stdin and pipes are not read, so write what they say to one, found {text!r}"
    )


def test_a_folder_is_no_job_and_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobError) as caught:
        load(str(tmp_path))
    assert str(caught.value) == f"JOB: expected a regular file, found the folder '{tmp_path}'"
    (tmp_path / "lists").mkdir()
    (tmp_path / "a.json").write_text('{"source": {"type": "manifest", "location": "lists"}}')
    assert told(tmp_path / "a.json") == ["source.location: expected a regular file, found the folder 'lists'"]


def test_a_mistake_in_a_job_is_not_blamed_on_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"job_id: 2026-13-45\n{FILES}")
    with pytest.raises(InvalidJobError) as caught:
        load(str(path))
    refuse(str(path), caught.value, as_json=False)
    assert capsys.readouterr().err.startswith(
        f"Error: {path} is not valid; nothing was started.\n  job: not valid YAML: "
    )


def test_a_link_is_refused_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    link = "https://me:planted@example.org/list.csv?sig=planted"
    with pytest.raises(InvalidJobError) as caught:
        load(link)
    refuse(link, caught.value, as_json=True)
    out, err = capsys.readouterr()
    assert err.startswith("Error: https://example.org/list.csv is not valid; nothing was started.\n  source.location: ")
    assert "planted" not in out + err
