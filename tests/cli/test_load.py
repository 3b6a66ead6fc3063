"""What `sluiceway run` makes of the file it is given."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.exits import Exit
from cli.load import load
from cli.plan import plan
from sluiceway.errors import DuplicateTargetError, InvalidJobError
from sluiceway.jobs.files import FileTask
from sluiceway.jobs.report import failed_line
from sluiceway.spec.document import is_job_id
from tests.support.commands import sluiceway

NOW = datetime(2026, 11, 23, 18, 4, 5, tzinfo=UTC)
URL = "https://example.org/a.csv"
JOB = {"source": {"type": "urls", "files": [URL]}}
LONG = "n" * 300


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("job.json", json.dumps(JOB), "urls"),
        ("job.json", json.dumps(JOB, indent=2), "urls"),
        ("job.txt", "\n\n" + json.dumps(JOB), "urls"),
        ("job.yaml", f"source:\n  type: urls\n  files:\n    - {URL}\n", "urls"),
        ("list.yml", f"- {URL}\n- url: https://example.org/b\n", "urls"),
        ("urls.txt", f"{URL}\n\nhttps://example.org/b\n", "manifest"),
        ("files.jsonl", json.dumps({"url": URL}) + "\n" + json.dumps({"url": URL, "key": "b"}), "manifest"),
        ("one.json", json.dumps({"url": URL}), "manifest"),
        ("split.jsonl", json.dumps({"url": URL, "split": "crc"}) + f'\n"{URL}b"', "manifest"),
        ("array.json", json.dumps([URL, {"url": "https://example.org/b"}]), "manifest"),
        ("files.csv", f"url,size\n{URL},12\n", "manifest"),
        ("list.tsv", f"TsvHttpData-1.0\n{URL}\t12\tAAAAAAAAAAAAAAAAAAAAAA==\n", "manifest"),
    ],
)
def test_a_job_and_every_kind_of_list_are_told_apart(tmp_path: Path, name: str, text: str, kind: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    loaded = load(str(path), now=NOW)
    assert loaded.document["source"]["type"] == kind
    assert loaded.manifest == (path if kind == "manifest" else None)
    assert re.fullmatch(rf"{path.stem}-20261123T180405Z-[0-9a-z]{{6}}", loaded.job_id)


def test_a_line_of_failed_jsonl_is_an_entry_whatever_the_file_had(tmp_path: Path) -> None:
    task = FileTask(
        URL, "landing", "in/{a}.csv", 5, {"md5": "0" * 32, "rows": "7"}, "sluiceway/acme", "crc",
        access=f"jobs/acme/access-{'0' * 16}.json",
    )  # fmt: skip
    path = tmp_path / "failed.jsonl"
    path.write_bytes(failed_line(task))
    loaded = load(str(path))
    assert (loaded.manifest, loaded.buckets) == (path, {"landing"})


def test_jobs_of_one_name_and_one_second_have_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 30}.txt"
    path.write_text(URL)
    ids = {load(str(path), now=NOW).job_id for _ in range(20)}
    assert len(ids) == 20
    assert all(is_job_id(job_id) for job_id in ids)


def test_a_job_keeps_its_own_id_and_tells_its_buckets(tmp_path: Path) -> None:
    files = [URL, {"url": "https://example.org/b", "bucket": "other"}]
    job = {"job_id": "mine", "source": {"type": "urls", "files": files}, "destination": {"bucket": "landing"}}
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job))
    loaded = load(str(path))
    assert (loaded.job_id, loaded.buckets) == ("mine", {"landing", "other"})


def test_a_manifest_is_found_beside_its_job(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text(URL)
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"source": {"type": "manifest", "location": "urls.txt"}}))
    assert load(str(path)).manifest == tmp_path / "urls.txt"


def test_a_manifest_elsewhere_is_left_to_the_functions() -> None:
    loaded = load("https://example.org/lists/today.csv?sig=1", now=NOW)
    assert (loaded.manifest, loaded.job_id[:-6]) == (None, "today-20261123T180405Z-")
    assert loaded.document["source"]["location"] == "https://example.org/lists/today.csv?sig=1"


@pytest.mark.parametrize(
    ("name", "text", "paths"),
    [
        ("a.json", '{"source": {"type": "urls", "files": []}, "destinaton": {}}', ["destinaton"]),
        ("a.json", '{"limits": {"max_concurrency": 0}}', ["limits.max_concurrency", "source"]),
        (
            "a.json",
            json.dumps({"source": {"type": "urls", "files": [{"url": "ftp://x/y"}, {"url": URL, "sha256": "abc"}]}}),
            ["source.files[0].url", "source.files[1].sha256"],
        ),
        ("a.json", '{"source": {"type": "ftp"}}', ["source.type"]),
        ("a.json", '{"source": {"type": "manifest", "location": "nowhere.csv"}}', ["source.location"]),
        ("a.json", '{"source": ', ["job"]),
        ("a.yaml", "source: [", ["job"]),
        ("a.yaml", "just text", ["job"]),
        (
            "a.jsonl",
            '{"url": "https://example.org/a"}\n{"url": "https://example.org/b", "siez": 1}',
            ["a.jsonl line 2, siez"],
        ),
    ],
)
def test_every_mistake_is_named_by_its_path(tmp_path: Path, name: str, text: str, paths: list[str]) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InvalidJobError) as caught:
        load(str(path))
    assert sorted(mistake.path for mistake in caught.value.mistakes) == paths


def test_two_files_of_one_target_are_refused_with_both_urls(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("https://one.example/a\nhttps://two.example/a\n")
    with pytest.raises(DuplicateTargetError) as caught:
        load(str(path))
    assert "https://one.example/a" in str(caught.value)
    assert "https://two.example/a" in str(caught.value)


def listed(tmp_path: Path, name: str, urls: list[str], sizes: list[str]) -> Path:
    """A CSV of these files, or a job with the same of them in itself."""
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_text("\n".join(["url,size", *map(",".join, zip(urls, sizes, strict=True))]))
    else:
        files = [{"url": url, "size": int(size)} for url, size in zip(urls, sizes, strict=True)]
        path.write_text(json.dumps({"source": {"type": "urls", "files": files}}))
    return path


def test_wrong_fields_are_told_before_files_of_one_target(tmp_path: Path) -> None:
    urls = [f"https://e.org/{name}" for name in "aabbcc"]
    path = listed(tmp_path, "a.csv", urls, ["5", "5", "-1", "zz", "1", "2"])
    with pytest.raises(InvalidJobError) as caught:
        load(str(path))
    assert [mistake.path for mistake in caught.value.mistakes] == ["a.csv line 4, size", "a.csv line 5, size"]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("a.csv", [f"a.csv line {n + 2}" for n in range(6)]),
        ("a.json", [f"source.files[{n}]" for n in range(6)]),
    ],
)
def test_every_two_files_of_one_target_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, places: list[str]
) -> None:
    urls = [f"https://e.org/{letter}" for letter in "abbcac"]
    path = listed(tmp_path, name, urls, ["1"] * 6)
    assert duplicates_of(path).pairs == tuple(
        f"two files would land at {urls[first].rpartition('/')[2]!r} in the landing bucket: {urls[first]} "
        f"({places[first]}) and {urls[second]} ({places[second]}); give each a key of its own"
        for first, second in ((1, 2), (0, 4), (3, 5))
    )
    assert plan(str(path), [], as_json=True) is Exit.INVALID
    told = capsys.readouterr()
    assert told.err.splitlines()[1:] == [f"  {pair}" for pair in duplicates_of(path).pairs]
    assert json.loads(told.out)["error"]["message"] == str(duplicates_of(path))


def test_of_very_many_the_first_hundred_pairs_are_told(tmp_path: Path) -> None:
    urls = [f"https://e.org/{n % 150}" for n in range(300)]
    pairs = duplicates_of(listed(tmp_path, "a.csv", urls, ["1"] * 300)).pairs
    assert (len(pairs), [line in pairs[-1] for line in ("line 101)", "line 251)")]) == (100, [True, True])


def duplicates_of(path: Path) -> DuplicateTargetError:
    with pytest.raises(DuplicateTargetError) as caught:
        load(str(path))
    return caught.value


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidJobError, match="JOB: expected a file that exists, found 'nowhere.json'"):
        load("nowhere.json")


@pytest.mark.parametrize(
    ("location", "told"),
    [
        (None, f"JOB: expected a file that can be read, found '{LONG}' (File name too long)"),
        (LONG, f"source.location: expected a file that can be read, found '{{folder}}/{LONG}' (File name too long)"),
    ],
    ids=["the job", "its list"],
)
def test_a_file_that_the_system_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str | None, told: str
) -> None:
    monkeypatch.setattr("cli.load.SHOWN_PATH_CHARS", 1000)
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"source": {"type": "manifest", "location": location}}))
    with pytest.raises(InvalidJobError) as caught:
        load(LONG if location is None else str(path))
    assert str(caught.value) == told.format(folder=tmp_path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system has no file that cannot be read from")
def test_a_file_that_breaks_off_is_told_by_the_name_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").symlink_to("/proc/self/mem")
    with pytest.raises(InvalidJobError, match=r"^JOB: expected a file that can be read, found '.*/urls.txt' \(Input"):
        load(str(tmp_path / "urls.txt"))


def test_a_path_that_is_none_is_not_told_at_length() -> None:
    with pytest.raises(InvalidJobError) as caught:
        load("{" * 10_000)
    assert len(str(caught.value)) < 500


def test_what_stands_in_a_file_is_no_name_of_one_and_is_not_repeated() -> None:
    ended = sluiceway("run", f"# files\n{URL}?sig=planted", "--json")
    assert (ended.code, ended.stderr) == (
        2,
        "Error: JOB is not valid; nothing was started.\n"
        "  JOB: expected the path or address of a file, not what it holds, found several lines\n",
    )
    assert (ended.json["status"], ended.json["error"]["type"]) == ("INVALID", "InvalidJobError")
