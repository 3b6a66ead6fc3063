"""`make demo` where it does not go as meant: interrupted, or ended before there was a report."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import demo.__main__ as demo
from demo.export_api import ExportApi
from tests.support.commands import HANG_SECONDS, environment

# A command that takes its time to end in order, as `run` does when it cancels a job.
COMMAND = """
import os, signal, sys, threading
ended = threading.Event()
def end(number, _):
    # Not print: the signal may come while "ready" is being printed.
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    ended.set()
signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
ended.wait()
threading.Event().wait(1)
print("in order", flush=True)
sys.exit(130)
"""
RUN = "import sys; from demo.__main__ import run; sys.exit(run([sys.executable, '-c', sys.argv[1]]))"


@pytest.mark.parametrize(
    ("number", "to_all"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["Ctrl-C", "SIGTERM to the demo alone"]
)
def test_the_command_ends_in_its_own_order(number: signal.Signals, to_all: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, COMMAND], env=environment(), cwd=demo.ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (os.killpg if to_all else os.kill)(process.pid, number)
        out, err = process.communicate(timeout=HANG_SECONDS)
    assert (process.returncode, out.splitlines(), err) == (130, [number.name, "in order"], "")


def test_a_job_that_ends_early_is_told_of_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "landed").write_text("in the way")
    monkeypatch.setattr(demo, "LANDED", tmp_path / "landed")
    assert demo.main() == 1
    told = capfd.readouterr()
    assert "No report was written: sluiceway run ended with 2, and says why above." in told.out
    assert "--landed: expected a folder" in told.err


def test_a_client_that_leaves_amid_a_file_is_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    with ExportApi() as api:
        host, port = api.host.split(":")
        with socket.create_connection((host, int(port))) as client:
            threads = threading.active_count()
            client.sendall(b"GET /files/archive.tar HTTP/1.1\r\n\r\n")
            client.recv(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while threading.active_count() > threads:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert capfd.readouterr().err == ""
