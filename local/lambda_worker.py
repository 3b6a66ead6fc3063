"""One function's process behind its own Lambda Runtime API.

Knows the Runtime API (Lambda developer guide, "Using the Lambda runtime API"), the environment a function sees, and
how a process is watched, killed and reported. Refuses to know which worker serves whom: that is the pool.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import BinaryIO

import psutil

from local.calls import principal
from local.http import Request, Response, Server
from local.lambda_types import MAX_PAYLOAD_BYTES, Function, Invocation, Report, Result, failure, posted_failure

LOG = logging.getLogger(__name__)

INIT_SECONDS = 120.0  # Lambda grants 10 s; a laptop compiling bytecode for the first time needs more
WATCH_SECONDS = 0.1  # the kernel keeps the peak in between
REGION = "us-east-1"
_API = "/2018-06-01/runtime/"
_BOOT = Path(__file__).with_name("lambda_boot.py")


class Worker:
    """Starts its process at once. `take` and then `invoke` run one invocation to its end; one at a time."""

    def __init__(
        self, function: Function, endpoint_url: str, log: BinaryIO, scratch: Path, on_exit: Callable[[Worker], None]
    ) -> None:
        self.function = function
        self.served = 0
        self.dead = False
        self.idle_since = 0.0
        self._killed = False
        self._peak = 0.0  # resident MB, of the invocation under way
        self._log = log
        self._on_exit = on_exit
        self._inbox: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: Invocation | None = None
        self._init_error: Result | None = None
        self._home = Path(tempfile.mkdtemp(prefix="lambda-", dir=scratch))
        self._started_at = time.monotonic()
        self._server = Server(self._serve, name=function.name)
        command = [sys.executable, "-P", str(_BOOT), function.handler, str(os.getpid())]
        self.process = subprocess.Popen(
            command,
            env=_environment(function, endpoint_url, self._server.port, self._home),
            cwd=function.code,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._reaper = threading.Thread(target=self._reap, name=f"{function.name}-reaper", daemon=True)
        self._reaper.start()

    def take(self, invocation: Invocation) -> None:
        """From here on `abort` knows whom the process works for."""
        self._current = invocation

    def invoke(self, invocation: Invocation) -> Report | None:
        """Runs what was taken; returns once `invocation.result` is set. None: a warm process had died before it began,
        so that another may."""
        init_from = None if self.served else self._started_at
        self._inbox.put(invocation)
        if self.dead:
            self._end_after_exit(invocation)
        if not invocation.started.wait(INIT_SECONDS):
            self._end(invocation, failure("Sandbox.Timedout", f"Init did not finish in {INIT_SECONDS:.0f} seconds"))
        if not invocation.started_at and self.served and self._was_exit(invocation):
            return None
        self._watch(invocation)
        if self._killed:
            self.join()
        self.served += 1
        self._current = None
        return self._report(invocation, init_from)

    def kill(self) -> None:
        """SIGKILL to the process and whatever it started."""
        self._killed = True
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                LOG.debug("%s was gone already", self.process.pid)

    def join(self) -> None:
        self._reaper.join()

    def abort(self, owner: str) -> None:
        """Ends the invocation under way if it belongs to `owner`."""
        invocation = self._current
        if invocation is not None and invocation.owner == owner:
            self._end(invocation, failure("Sandbox.Aborted", "The execution was stopped"))

    # the watch

    def _watch(self, invocation: Invocation) -> None:
        """Until the result is there. Kills the process past its time or its memory."""
        limit_mb, timeout = self.function.memory_mb, self.function.timeout_seconds
        _reset_peak(self.process.pid)
        self._peak = 0.0
        while True:
            try:
                invocation.result.result(WATCH_SECONDS)
                ended = True
            except NotYet:
                ended = False
            self._peak = max(self._peak, _resident_mb(self.process.pid))
            if ended:
                return
            if self._peak > limit_mb and not self.dead:
                self._end(invocation, failure("Runtime.ExitError", _says(invocation, "signal: killed")))
            if time.monotonic() - invocation.started_at > timeout:
                text = f"RequestId: {invocation.request_id} Error: Task timed out after {timeout:.2f} seconds"
                self._end(invocation, failure("Sandbox.Timedout", text))

    def _end(self, invocation: Invocation, result: Result) -> None:
        """By decree: the process is killed, for nobody knows what it still does."""
        if invocation.end(result):
            self.kill()

    def _report(self, invocation: Invocation, init_from: float | None) -> Report:
        result = invocation.result.result()
        outcome = result.error_type or "ok"
        if outcome == "Runtime.ExitError" and self._peak > self.function.memory_mb:
            outcome = "Runtime.OutOfMemory"
        started = invocation.started_at or time.monotonic()
        report = Report(
            function=self.function.name,
            request_id=invocation.request_id,
            duration_ms=(time.monotonic() - started) * 1000,
            memory_mb=self.function.memory_mb,
            max_memory_mb=self._peak,
            outcome=outcome,
            init_ms=None if init_from is None else (started - init_from) * 1000,
        )
        try:
            self._log.write(f"{report.line()}\n".encode())
            self._log.flush()
        except OSError as error:  # a full disk: what the function did counts all the same
            LOG.warning("%s: no report line: %s", self.function.name, error)
        return report

    def _was_exit(self, invocation: Invocation) -> bool:
        return invocation.result.done() and invocation.result.result().error_type == "Runtime.ExitError"

    def _reap(self) -> None:
        self.process.wait()
        self.dead = True
        self._inbox.put(None)
        invocation = self._current
        if invocation is not None:
            self._end_after_exit(invocation)
        self._server.close()
        shutil.rmtree(self._home, ignore_errors=True)
        self._on_exit(self)

    def _end_after_exit(self, invocation: Invocation) -> None:
        code = self.process.wait()
        if self._init_error is not None:
            invocation.end(self._init_error)
        elif code < 0:
            text = _says(invocation, f"signal: {signal.Signals(-code).name.removeprefix('SIG').lower()}")
            invocation.end(failure("Runtime.ExitError", text.replace("signal: kill", "signal: killed")))
        elif code:
            invocation.end(failure("Runtime.ExitError", _says(invocation, f"exit status {code}")))
        else:
            text = f"RequestId: {invocation.request_id} Error: Runtime exited without providing a reason"
            invocation.end(failure("Runtime.ExitError", text))

    # the Runtime API

    def _serve(self, request: Request) -> Response:
        path = request.path.removeprefix(_API)
        if request.method == "GET" and path == "invocation/next":
            return self._next()
        body = request.body.read()
        invocation = self._current
        if path == "init/error":
            self._init_error = posted_failure(body)
        elif invocation is None or f"/{invocation.request_id}/" not in path:
            return Response(400, [("Content-Type", "application/json")], b'{"errorType": "InvalidRequestID"}')
        elif path.endswith("/error"):
            invocation.end(posted_failure(body))
        elif len(body) > MAX_PAYLOAD_BYTES:
            text = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            invocation.end(failure("Function.ResponseSizeTooLarge", text))
        elif (peak := _resident_mb(self.process.pid)) > self.function.memory_mb:  # too briefly for the watch to see
            self._peak = peak
            self._end(invocation, failure("Runtime.ExitError", _says(invocation, "signal: killed")))
        else:
            invocation.end(Result(body))
        return Response(202, [("Content-Type", "application/json")], b'{"status": "OK"}')

    def _next(self) -> Response:
        invocation = self._inbox.get()
        if invocation is None:
            return Response(410)
        invocation.start()
        deadline = int((time.time() + self.function.timeout_seconds) * 1000)
        headers = [
            ("Content-Type", "application/json"),  # the runtime client crashes without it
            ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(deadline)),
            ("Lambda-Runtime-Invoked-Function-Arn", self.function.arn),
        ]
        return Response(200, headers, invocation.payload)


def _says(invocation: Invocation, reason: str) -> str:
    return f"RequestId: {invocation.request_id} Error: Runtime exited with error: {reason}"


def _environment(function: Function, endpoint_url: str, port: int, home: Path) -> dict[str, str]:
    """What Lambda sets (developer guide, "Defined runtime environment variables"), and nothing of the caller's but
    PATH and the locale."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **inherited,
        "HOME": str(home),
        "TMPDIR": str(home),
        "TZ": ":UTC",
        "PYTHONPATH": str(function.code),
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/{home.name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": principal(function.handler),
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint_url,
        **function.environment,
    }


def _resident_mb(pid: int) -> float:
    """The peak since `_reset_peak` where the kernel tells it, else what is resident now; 0 for a process that ended."""
    try:
        if sys.platform == "linux":
            with open(f"/proc/{pid}/status") as status:
                for line in status:
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) / 1024
            return 0.0
        return float(psutil.Process(pid).memory_info().rss) / 1024**2
    except (OSError, psutil.Error):
        return 0.0


def _reset_peak(pid: int) -> None:
    """proc(5): writing 5 to clear_refs resets VmHWM."""
    if sys.platform != "linux":
        return
    try:
        with open(f"/proc/{pid}/clear_refs", "w") as refs:
            refs.write("5")
    except OSError as error:
        LOG.debug("peak of %s not reset: %s", pid, error)
