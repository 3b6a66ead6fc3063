"""What some of the work on a file took, added up: over invocations, and over segments that move at once."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sluiceway.jobs.files import MEASURES, FileResult
from sluiceway.jobs.states import FileState
from sluiceway.landing import tally as tally_module
from sluiceway.landing.tally import PEAK, Measured, Tally

SECONDS = ("total", "source", "sink", "hash")
COUNTS = ("pool_waits", "part_retries", "source_resumes", PEAK)
# Eighths add up without rounding, whatever the order.
some_work = st.builds(
    Measured,
    st.dictionaries(st.sampled_from(SECONDS), st.integers(0, 8000).map(lambda eighths: eighths / 8)),
    st.dictionaries(st.sampled_from(COUNTS), st.integers(0, 10**10)),
    st.integers(0, 400),
)


@given(st.lists(some_work, max_size=6))
def test_segments_add_up_and_the_peak_is_the_highest(segments: list[Measured]) -> None:
    total = sum(segments, Measured()).on(FileResult(FileState.STORED))
    assert total.seconds == sum(each.seconds.get("total", 0) for each in segments)
    assert total.source_wait_seconds == sum(each.seconds.get("source", 0) for each in segments)
    assert total.sink_wait_seconds == sum(each.seconds.get("sink", 0) for each in segments)
    assert total.hash_seconds == sum(each.seconds.get("hash", 0) for each in segments)
    for name in ("pool_waits", "part_retries", "source_resumes"):
        assert getattr(total, name) == sum(each.counts.get(name, 0) for each in segments)
    assert total.peak_memory_bytes == max((each.counts.get(PEAK, 0) for each in segments), default=0)
    assert total.relays == sum(each.relays for each in segments)


def test_every_measure_of_a_result_is_filled() -> None:
    whole = Measured(dict.fromkeys(SECONDS, 1.5), dict.fromkeys(COUNTS, 2), 3).on(FileResult(FileState.FAILED))
    assert all(getattr(whole, name) for name in MEASURES)


@given(some_work)
def test_what_was_measured_survives_json(work: Measured) -> None:
    assert Measured.from_dict(json.loads(json.dumps(work.to_dict()))) == work


def test_a_tally_goes_on_from_what_was_measured_before(monkeypatch) -> None:
    monkeypatch.setattr(tally_module, "recent_peak_memory_bytes", lambda: 70)
    before = Measured({"source": 1.0}, {"part_retries": 2, PEAK: 90}, relays=1)
    tally = Tally.of(before)
    with tally.waiting_for_sink():
        tally.retries.append(3)
    tally.resumed()
    after = tally.measured()
    assert after.counts == {"part_retries": 5, "source_resumes": 1, PEAK: 90}
    assert after.seconds["source"] == 1.0 and after.seconds["sink"] > 0
    assert (after.relays, Tally().measured().counts[PEAK]) == (1, 70)
    assert before.counts == {"part_retries": 2, PEAK: 90}
