"""A file that outlasts an invocation, or two: what the next one makes of where the last one stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sluiceway.jobs.files import FileTask
from sluiceway.jobs.states import FileState
from sluiceway.landing.options import Options, Tools
from sluiceway.landing.relaying import TimeLeft
from sluiceway.landing.splitting import SegmentPaused, Split, begin_split, move_segment
from sluiceway.transfer.segments import SegmentSum
from tests.faults.harness import BIG, KEY, PART
from tests.faults.relayed import World, world
from tests.faults.source import Exchange, File, Step, cut, serve
from tests.faults.steps import answer, chunked, part_of_unknown, slows
from tests.faults.store import BUCKET, Fault, Store, unfinished
from tests.faults.store_rows import CONFLICT, NEVER


@pytest.fixture
def store(landed: Path) -> Iterator[Store]:
    with Store(landed) as store:
        yield store


@pytest.mark.parametrize("rest", [serve(BIG), part_of_unknown(BIG, PART)], ids=["its total told", "no total told"])
def test_a_body_of_unknown_length_is_resumed_to_its_end(store: Store, rest: Step) -> None:
    with world(store, chunked(BIG.body), rest) as file:
        file.invoke(until=PART + 1)
        assert file.carried is not None and file.carried["length"] is None
        result = file.invoke(file.carried)
        assert all("range" in request for request in file.source.requests[1:])
    assert (result.state, result.relays) == (FileState.STORED, 1)
    assert store.object(KEY) == BIG.body


def test_a_file_that_changes_in_every_invocation_is_begun_anew_three_times_in_all(store: Store) -> None:
    versions = [File(BIG.body, f'"v{n}"') for n in range(5)]
    # The rest of the version before, asked for under If-Range, is the whole of the next one; then it is asked for anew.
    steps = [serve(version) for version in versions for _ in range(2)][1:]
    with world(store, *steps) as file:
        results = [file.invoke(until=PART + 1)]
        while file.carried is not None:
            results.append(file.invoke(file.carried, until=PART + 1))
        asked = [request.get("range") for request in file.source.requests]
    assert [result.state for result in results] == [FileState.RETRY_LINK] * 4 + [FileState.FAILED]
    assert (results[-1].error_type, results[-1].relays) == ("SourceRestartError", 4)
    assert asked.count(None) == 4
    assert unfinished(file.s3) == []


def test_what_s3_wants_sent_again_is_sent_again_once_in_all_invocations(store: Store) -> None:
    with world(store, serve(BIG)) as file:
        store.faults.append(Fault("complete", CONFLICT, 2))
        file.invoke(until=PART + 1, **NEVER)
        file.invoke(file.carried, until=lambda count: "complete" in store.calls and count > PART, **NEVER)
        assert file.carried is not None and file.carried["offset"] < 2 * PART
        result = file.invoke(file.carried, **NEVER)
    assert (result.state, result.error_type) == (FileState.FAILED, "SendAgainError")
    assert unfinished(file.s3) == []


MD5 = {"md5": hashlib.md5(BIG.body).hexdigest()}
PLEA = answer(503, Retry_After="120")


def short() -> TimeLeft:
    """100 seconds are left, and stay so."""
    return TimeLeft(100.0, lambda: 0.0)


def soon(seconds: float = 1.0) -> TimeLeft:
    return TimeLeft(time.monotonic() + seconds)


def hang(exchange: Exchange) -> None:
    exchange.hang()


def lands(file: World, *, relays: int) -> None:
    """What was carried is landed by the next invocation, identical and verified."""
    assert file.carried is not None
    result = file.invoke(file.carried, digests=MD5)
    assert (result.state, result.relays, result.verified_by) == (FileState.STORED, relays, ("caller:md5",))
    assert result.digests["sha256"] == hashlib.sha256(BIG.body).hexdigest()
    assert file.store.object(KEY) == BIG.body
    assert unfinished(file.s3) == []


def test_a_pause_that_would_outlast_the_invocation_is_left_to_the_next(store: Store) -> None:
    with world(store, cut(BIG, PART + 77_777), PLEA, serve(BIG)) as file:
        file.invoke(time_left=short(), digests=MD5)
        assert file.carried is not None and (file.carried["offset"], file.carried["idle"]) == (PART, 0)
        # The pause before the first try to go on, and none of two minutes.
        assert len(file.sleeps) == 1 and file.sleeps[0] < 1
        # Others of the host's files are told all the same.
        assert file.client.asked_to_wait["127.0.0.1"] > time.time() + 100
        lands(file, relays=1)
        assert [request.get("range") for request in file.source.requests[2:]] == [f"bytes={PART}-"]


def test_a_pause_before_a_carried_file_is_opened_keeps_what_it_has(store: Store) -> None:
    with world(store, serve(BIG), PLEA, serve(BIG)) as file:
        file.invoke(until=PART + 1, digests=MD5)
        before = file.carried
        assert file.invoke(before, time_left=short(), digests=MD5).state is FileState.RETRY_LINK
        assert file.carried is not None and before is not None
        assert (file.carried["offset"], file.carried["idle"]) == (before["offset"], 1)
        lands(file, relays=2)


def test_a_source_that_makes_two_invocations_wait_in_vain_is_told_of(store: Store) -> None:
    with world(store, serve(BIG), PLEA) as file:
        file.invoke(until=PART + 1)
        file.invoke(file.carried, time_left=short())
        result = file.invoke(file.carried, time_left=short())
    assert (result.state, result.error_type) == (FileState.FAILED, "CannotResumeError")
    assert "expected status 200, received 503" in str(result.error_message)
    assert "2 invocations in a row moved nothing" in str(result.error_message)
    assert unfinished(file.s3) == []


def test_a_read_that_has_become_slow_ends_with_the_invocation(store: Store) -> None:
    # By then a read is a MiB: at 100 KB/s ten seconds, and no stall.
    with world(store, slows(BIG, 2 * PART - 200_000, 100_000), serve(BIG)) as file:
        began = time.monotonic()
        file.invoke(time_left=soon(), digests=MD5)
        assert time.monotonic() - began < 5
        assert file.carried is not None and file.carried["offset"] == PART
        lands(file, relays=1)


@pytest.mark.parametrize("carried", [False, True], ids=["a file that is begun", "a file that goes on"])
def test_a_reply_that_does_not_come_ends_with_the_invocation(store: Store, carried: bool) -> None:
    with world(store, *([serve(BIG)] if carried else []), hang, serve(BIG)) as file:
        before = None
        if carried:
            file.invoke(until=PART + 1, digests=MD5)
            before = file.carried
        began = time.monotonic()
        assert file.invoke(before, time_left=soon(), digests=MD5).state is FileState.RETRY_LINK
        assert time.monotonic() - began < 5
        lands(file, relays=1 + carried)


def test_nothing_is_connected_to_once_time_is_up(store: Store) -> None:
    with world(store, serve(BIG)) as file:
        assert file.invoke(time_left=TimeLeft(0.0, lambda: 1.0)).state is FileState.RETRY_LINK
        assert file.source.connections == 0


def test_a_pause_that_would_outlast_the_invocation_pauses_a_segment_too(store: Store) -> None:
    with world(store, serve(BIG), serve(BIG), PLEA, serve(BIG)) as file:
        task, options = FileTask(file.source.url(), BUCKET, KEY), Options(part_bytes=PART)
        tools = Tools(file.client, file.s3)
        split = begin_split(task, options, tools, split_bytes=PART, segment_bytes=PART)
        assert isinstance(split, Split)
        paused = move_segment(task, options, replace(tools, time_left=short()), split, 1)
        assert isinstance(paused, SegmentPaused) and paused.position.offset == PART
        total = move_segment(task, options, tools, split, 1, paused.position)
    assert isinstance(total, SegmentSum) and total.bytes == PART
