"""What becomes of a command whose stdout is closed, or full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from cli.streams import Stream
from tests.support.commands import command_line, environment

FULL = Path("/dev/full")


@contextmanager
def nobody_reads() -> Iterator[int]:
    """The end of a pipe whose reader has gone, as `head` goes."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


def test_a_table_for_a_reader_that_has_gone_ends_nothing() -> None:
    with nobody_reads() as descriptor, os.fdopen(descriptor, "w", closefd=False) as pipe:
        stream = Stream(pipe)
        for _ in range(3):
            Console(file=stream).print("a line of a table\n" * 1000)
        assert (stream.lost, stream.is_unused) == (None, False)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_what_a_full_disk_did_not_take_is_known_in_the_end() -> None:
    with FULL.open("w") as full:
        stream = Stream(full)
        print("an answer", file=stream, flush=True)
        print("and more", file=stream)
        assert stream.lost is not None and stream.lost.strerror == "No space left on device"


def test_what_was_written_is_there_and_known(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        stream = Stream(file)
        assert stream.is_unused
        print("señal", file=stream)
        assert (stream.is_unused, stream.lost) == (False, None)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "señal\n"


def ended(*arguments: str, stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(*arguments), env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60
    )


def test_a_reader_that_leaves_changes_no_exit_code() -> None:
    with nobody_reads() as pipe:
        done = ended("copy", "--help", stdout=pipe)
        refused = ended("copy", "ftp://x", "s3://bucket/key", "--json", stdout=pipe)
    assert (done.returncode, done.stderr) == (0, "")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_has_an_exit_code_of_its_own() -> None:
    with FULL.open("w") as full:
        done = ended("copy", "--help", stdout=full.fileno())
    assert done.returncode == 74
    assert done.stderr == "Error: the answer could not be written to stdout: No space left on device\n"
