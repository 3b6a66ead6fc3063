"""What fields in keys and prefixes are filled with, and what is no field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiceway.errors import InvalidJobError
from sluiceway.jobs.fields import NAMES, FieldNameError, escape, fill, values_of
from sluiceway.spec import Entry, load_job, read_tasks

# Half past midnight in Vienna is still the day before in UTC.
VALUES = values_of("acme-1", "2026-11-24T00:30:05+01:00")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("acme/{yyyy}/{mm}/{dd}/", "acme/2026/11/23/"),
        ("{date}T{hh}/{job_id}", "2026-11-23T23/acme-1"),
        ("{{date}}/{{{dd}}}", "{date}/{23}"),
        ("plain", "plain"),
    ],
)
def test_fields_are_filled_from_the_start_of_the_job_in_utc(text: str, filled: str) -> None:
    assert fill(text, VALUES) == filled


@pytest.mark.parametrize("text", ["{year}", "{}", "{ dd }", "a{", "a}b", "{dd", "{DD}"])
def test_what_is_no_field_is_refused(text: str) -> None:
    with pytest.raises(FieldNameError, match="{yyyy}.*{{ and }}"):
        fill(text, VALUES)


def test_every_name_has_a_value() -> None:
    assert tuple(VALUES) == NAMES


@given(st.text(alphabet="{}ad", max_size=12))
def test_an_escaped_text_is_filled_to_itself(text: str) -> None:
    assert fill(escape(text), VALUES) == text


@pytest.mark.parametrize(
    ("destination", "file", "path"),
    [
        ({"prefix": "in/{today}/"}, {"url": "https://h/a"}, "destination.prefix"),
        ({"prefix": "in/{dd/"}, {"url": "https://h/a"}, "destination.prefix"),
        ({}, {"url": "https://h/a", "key": "{today}/a"}, "source.files[0].key"),
    ],
)
def test_a_mistake_in_a_field_names_its_place_and_the_fields_there_are(
    destination: dict[str, str], file: dict[str, str], path: str
) -> None:
    with pytest.raises(InvalidJobError) as caught:
        job = load_job({"source": {"type": "urls", "files": [file]}, "destination": destination}, "j")
        list(read_tasks([Entry(file, "source.files[0]")], bucket="b", prefix=job.destination.prefix, fields=VALUES))
    (mistake,) = caught.value.mistakes
    assert mistake.path == path
    assert "{yyyy}" in mistake.expected


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (Entry({"url": "https://h/a", "key": "{date}/a"}, "x"), "2026-11-23/a"),
        (Entry({"url": "https://h/%7Bdate%7D/a"}, "x"), "{date}/a"),
        (Entry({"url": "https://h/a", "key": "{id}.csv"}, "x", literal=True), "{id}.csv"),
    ],
    ids=["a user's", "a link's", "an export API's"],
)
def test_only_keys_that_users_write_are_filled(entry: Entry, key: str) -> None:
    (task,) = read_tasks([entry], bucket="b", fields=VALUES)
    assert task.key == key
