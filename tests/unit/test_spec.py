"""The job document: what is valid, and what is said of what is not."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from sluiceway.errors import InvalidJobError
from sluiceway.spec import load_job

URLS = {"type": "urls", "files": ["https://h/a"]}
HTTP = {
    "type": "http",
    "start": {"url": "https://h/exports", "json": {"table": "orders"}},
    "poll": {"url": "https://h/exports/{{ id }}", "status": "status", "status_mapping": {"completed": ["done"]}},
    "files": {"list": "files[].{url: href}"},
}
FULL = {
    "job_id": "acme-2026-11-23",
    "source": {"type": "urls", "files": [{"url": "https://h/a", "key": "a.csv", "size": 123, "sha256": "ab" * 32}]},
    "destination": {"bucket": "landing", "prefix": "acme/2026-11-23/", "if_exists": "never",
                    "storage_class": "STANDARD", "kms_key_id": None, "tags": {"a": "b"}, "metadata": {"c": "d"}},
    "limits": {"max_file_bytes": 5368709120, "max_concurrency": 100, "failed_files_percent": 100,
               "failed_files": 20, "deadline_minutes": 720},
    "commit": "per-file",
    "task_token": None,
}  # fmt: skip


def changed(**more: Any) -> dict[str, Any]:
    return {"source": URLS, **more}


@pytest.mark.parametrize(
    "document",
    [FULL, changed(), {"source": HTTP}, {"source": {"type": "manifest", "location": "s3://b/k", "format": "csv"}},
     changed(job_id="a"), changed(job_id="A._-9" * 16), {"source": {"type": "urls", "files": []}}],
)  # fmt: skip
def test_a_valid_job_is_the_same_after_it_was_written_and_read(document: dict[str, Any]) -> None:
    job = load_job(document, "default-id")
    written = job.model_dump_json(by_alias=True, exclude_defaults=True)
    assert load_job(json.loads(written), "another") == job


def test_a_files_number_may_stand_in_its_name_and_in_the_request_for_its_link() -> None:
    link = {"url": "https://h/{{ item:id }}/{{ file:number }}"}
    assert load_job(http("files", link=link, name="{{ file:number }}.csv"), "x").job_id == "x"


def test_hosts_of_credentials_are_compared_in_lower_case() -> None:
    job = load_job(http("download", hosts=["Files.Example:8443", "[::A]"]), "x")
    assert job.source.download.hosts == ["files.example:8443", "[::a]"]  # type: ignore[union-attr]


def test_a_job_without_an_id_gets_the_default() -> None:
    assert load_job(changed(), "default-id").job_id == "default-id"


def test_names_of_metadata_are_kept_as_s3_keeps_them() -> None:
    destination = {"metadata": {"Job-Id": "mine", "SHA256": "theirs", "n": "x" * 1906}}
    kept = load_job(changed(destination=destination), "default-id").destination.metadata
    assert kept == {"job-id": "mine", "sha256": "theirs", "n": "x" * 1906}


def source(**more: Any) -> dict[str, Any]:
    return {"source": {**URLS, **more}}


def http(part: str, **more: Any) -> dict[str, Any]:
    return {"source": {**HTTP, part: {**HTTP.get(part, {}), **more}}}  # type: ignore[dict-item]


def deep(levels: int) -> list[Any]:
    outer: list[Any] = []
    for _ in range(levels):
        outer = [outer]
    return outer


def itself() -> list[Any]:
    """As an alias in YAML makes one."""
    found: list[Any] = []
    found.append(found)
    return found


WRONG: list[tuple[Any, list[str]]] = [
    ([], ["job: expected an object, found a list"]),
    ({}, ["source: expected a value, found nothing"]),
    (changed(soruce=1), ["soruce: unknown field; did you mean source?"]),
    (changed(limits={"max_concurency": 5, "sum": 1}),
     ["limits.max_concurency: unknown field; did you mean max_concurrency?", "limits.sum: unknown field"]),
    (source(location="s3://b/k", fils=[]),
     ["source.location: unknown field", "source.fils: unknown field; did you mean files?"]),
    (http("poll", statusmapping={}), ["source.poll.statusmapping: unknown field; did you mean status_mapping?"]),
    (http("start", jsn={}), ["source.start.jsn: unknown field; did you mean json?"]),
    ({"source": {**HTTP, "auth": {"type": "oauth2", "secrets": "x"}}},
     ["source.auth.secret: ", "source.auth.token_url: ", "source.auth.secrets: unknown field; did you mean secret?"]),
    (changed(job_id="../x"), ["job_id: expected 1 to 80 of letters"]),
    (changed(job_id="a" * 81), ["job_id: "]),
    (changed(job_id="a\n"), ["job_id: "]),
    (changed(job_id=5), ["job_id: "]),
    ({"source": {"type": "ftp"}}, ["source.type: expected urls, manifest, http or fhir-bulk, found 'ftp'"]),
    ({"source": {}}, ["source.type: expected urls, manifest, http or fhir-bulk, found nothing"]),
    ({"source": "https://h"}, ["source: expected an object, found 'https://h'"]),
    ({"source": {"type": "urls"}}, ["source.files: expected a value, found nothing"]),
    (source(files=["https://h/a", {"url": "https://h/b", "size": "5"}, {"key": "x"}]),
     ["source.files[1].size: expected a whole number, found '5'",
      "source.files[2].url: expected a value, found nothing"]),
    (source(files=["https://h/a", {"url": "https://h/b", "access": "jobs/a/access-0123456789abcdef.json"}]),
     ["source.files[1].access: expected it only in a list kept in S3, as failed.jsonl is, found it in the job itself"]),
    (source(files=[{"url": "https://h/b", "size": True}]),
     ["source.files[0].size: expected a whole number, found true"]),
    (source(files=[{"url": "https://h/b", "sha257": "x"}]),
     ["source.files[0].sha257: unknown field; did you mean sha256?"]),
    (source(files="https://h"), ["source.files: expected a list, found 'https://h'"]),
    (changed(destination={"bucket": "Not_A_Bucket"}), ["destination.bucket: expected the name of a bucket"]),
    (changed(destination={"prefix": "/abs"}), ["destination.prefix: expected a key without empty segments"]),
    (changed(destination={"prefix": "a/../"}), ["destination.prefix: expected a key without '.' and '..' segments"]),
    (changed(destination={"if_exists": "skip"}),
     ["destination.if_exists: expected overwrite, never or skip-unchanged, found 'skip'"]),
    (changed(destination={"storage_class": "FAST"}), ["destination.storage_class: expected STANDARD, "]),
    (changed(destination={"tags": {"a": 1}}), ["destination.tags.a: expected a string, found 1"]),
    (changed(destination={"metadata": {"c": "d", "a b": "c"}}),
     ["destination.metadata: expected names of letters, digits and '-', found 'a b'"]),
    (changed(destination={"metadata": {"c": "d", "a": "\u00e9"}}),
     ["destination.metadata.a: expected printable ASCII, found '\u00e9'"]),
    (changed(destination={"metadata": {"job-id": "a", "Job-Id": "b"}}),
     ["destination.metadata: expected names other than sluiceway-attempt, each once in whatever case, found 'Job-Id'"]),
    (changed(destination={"metadata": {"Sluiceway-Attempt": "a"}}),
     ["destination.metadata: expected names other than sluiceway-attempt, each once"]),
    (changed(destination={"metadata": {"a": "x" * 1000, "b": "y" * 928}}),
     ["destination.metadata: expected at most 1929 bytes of names and values, found 1930"]),
    (changed(destination={"tags": {"c": "d", "a": "x" * 257}}), ["destination.tags.a: expected at most 256"]),
    (changed(destination={"tags": {"": "x"}}), ["destination.tags: expected names of 1 to 128 characters, found ''"]),
    (changed(limits={"max_file_bytes": 0}), ["limits.max_file_bytes: expected at least 1, found 0"]),
    (changed(limits={"max_concurrency": 1.5}), ["limits.max_concurrency: expected a whole number, found 1.5"]),
    (changed(limits={"failed_files_percent": 101}), ["limits.failed_files_percent: expected at most 100, found 101"]),
    (changed(limits={"failed_files": -1}), ["limits.failed_files: expected at least 0, found -1"]),
    (changed(limits={"failed_files": 1.5}), ["limits.failed_files: expected a whole number, found 1.5"]),
    (changed(limits={"deadline_minutes": 0}), ["limits.deadline_minutes: expected more than 0, found 0"]),
    (changed(limits={"deadline_minutes": float("nan")}),
     ["limits.deadline_minutes: expected a number, found no number (NaN)"]),
    (changed(limits={"max_concurrency": 16**5000}),
     ["limits.max_concurrency: expected at most 10000, found a number of too many digits"]),
    (changed(job_id=date(2026, 11, 23)), ["job_id: expected 1 to 80 of letters"]),
    (changed(source=deep(100)), ["job: expected at most 64 levels of nesting, found more"]),
    (changed(source=itself()), ["job: expected at most 64 levels of nesting, found more"]),
    # What is wrong with a key is told beside what is wrong elsewhere, and the prefix counts.
    (changed(source={**URLS, "files": [{"url": "https://h/a", "key": "a\0"}]}, task_token=5),
     ["task_token: expected a string", "source.files[0].key: expected a key without control characters"]),
    (source(files=[{"url": "https://h/a", "size": "5", "key": ""}, {"url": "https://h/b", "key": "../../etc/passwd"},
                   {"url": "https://h/", "md5": "x"}, {"url": "https://h/d", "key": "{no}"}, {"url": 5, "key": "a"}]),
     ["source.files[0].size: ", "source.files[2].md5: ", "source.files[4].url: ",
      "source.files[0].key: expected a key that is not empty, found ''",
      "source.files[1].key: expected a key without '.' and '..' segments, found '../../etc/passwd'",
      "source.files[2].key: expected a key that is not empty, found nothing",
      "source.files[3].key: expected "]),
    (changed(source={**URLS, "files": [{"url": "https://h/a", "key": "/a"}, {"url": "https://h/a", "key": "\ud800"}]},
             destination={"prefix": "in", "bucket": "B"}),
     ["destination.bucket: ", "source.files[1].key: expected a key without half a surrogate pair"]),
    (changed(commit="never"), ["commit: expected per-file or all-or-nothing, found 'never'"]),
    (http("start", url="h/exports"), ["source.start.url: expected a URL"]),
    (http("start", body="x"), ["source.start: expected one of body, json, form and graphql"]),
    (http("start", headers={"A B": "c"}), ["source.start.headers: expected header names"]),
    (http("start", headers={"A": "c\r\nB: d"}), ["source.start.headers: expected header names"]),
    (http("poll", status="a["), ["source.poll.status: expected a JMESPath expression, found 'a['"]),
    (http("poll", url="https://h/{{ a[ }}"), ["source.poll.url: expected a JMESPath expression"]),
    (http("poll", url_header="Location"), ["source.poll: expected url or url_header, one of them"]),
    (http("poll", status_mapping={"completed": []}),
     ["source.poll.status_mapping.completed: expected at least 1 items"]),
    (http("download", hosts=["https://files.h", "*", "h/a", "me@h", "h:0"]),
     [f"source.download.hosts[{n}]: expected HOST or HOST:PORT" for n in range(5)]),
    (http("download", headers={"X": "{{ nowhere:id }}"}),
     ["source: expected a place in download.headers that there is, unlike nowhere:id"]),
    (http("download", headers={"X": "{{ item:id }}"}), ["source: expected a place in download.headers that there is"]),
    (http("files", link={"url": "https://h/{{ file:name }}"}),
     ["source: expected a place in files.link that there is, unlike file:name"]),
    (http("files", link={"url": "https://h/", "headers": {"X": "{{ item:id }}"}}),
     ["source: expected a place in files.link.headers that there is, unlike item:id"]),
    (http("start", json="{{ file:number }}"),
     ["source: expected a place in start that there is, unlike file:number"]),
    (http("files", digests={"sha3": "x"}), ["source.files.digests: expected digests named md5, "]),
    ({"source": {"type": "manifest", "location": "s3://b/k", "format": "xml"}}, ["source.format: expected jsonl, "]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), WRONG)
def test_every_wrong_field_is_told_by_its_path(document: Any, expected: list[str]) -> None:
    with pytest.raises(InvalidJobError) as caught:
        load_job(document, "default-id")
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert len(told) == len(expected), told
    assert [text.startswith(start) for text, start in zip(told, expected, strict=True)] == [True] * len(told), told


@pytest.mark.parametrize(
    "document",
    [
        http("start", headers={"Authorization": "planted\n"}),
        http("start", body=5, headers={"X": "planted\n"}),
        source(files=["ftp://h/a?sig=planted"]),
        changed(task_token=["planted"]),
        changed(job_id="https://h/?planted"),
    ],
)
def test_a_mistake_shows_no_secret(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidJobError) as caught:
        load_job(document, "default-id")
    assert "planted" not in str(caught.value)


def test_a_hundred_thousand_files_are_a_job() -> None:
    many = [{"url": f"https://h/{n}", "key": f"k{n}", "size": n} for n in range(100_000)]
    job = load_job({"source": {"type": "urls", "files": many}}, "big")
    assert len(job.source.files) == 100_000  # type: ignore[union-attr, arg-type]
