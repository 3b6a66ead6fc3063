"""The pool of function processes: warm ones reused, never more than a number in all.

Knows who is idle, who must wait and who must go. Refuses to know what runs inside a process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from local.calls import principal
from local.lambda_types import Function, Invocation, Report, Result, failure
from local.lambda_worker import Worker

LOG = logging.getLogger(__name__)

PROCESSES_PER_CORE = 4
IDLE_SECONDS = 1.0


class UnknownFunctionError(Exception):
    """No function of that name or ARN is deployed."""


class PoolClosedError(Exception):
    """The engine ends."""


class Pool:
    """`logs` and `scratch` are folders. `invoke` may be called from any number of threads; it blocks while every
    process is busy. What a function itself invokes has a process more than that: the caller keeps its own while it
    waits, and if all did, none would ever end."""

    def __init__(self, endpoint_url: str, logs: Path, scratch: Path, max_processes: int | None = None) -> None:
        self.reports: list[Report] = []
        self._endpoint_url = endpoint_url
        self._logs = logs
        self._scratch = scratch
        self._max = max_processes or (os.cpu_count() or 1) * PROCESSES_PER_CORE
        self._functions: dict[str, Function] = {}
        self._log_files: dict[str, BinaryIO] = {}
        self._workers: set[Worker] = set()
        self._idle: list[Worker] = []
        self._ending: set[Worker] = set()
        self._starting = 0
        self._called_waiting = 0
        self._events = 0
        self._stopped_owners: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()
        # The kernel's death signal follows the *thread* that started a process: one thread that lives as long as
        # the engine starts them all.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="lambda-spawner")
        self._background = ThreadPoolExecutor(self._max, thread_name_prefix="lambda-event")

    def deploy(self, functions: Iterable[Function]) -> None:
        for function in functions:
            self._functions[function.name] = function
            path = self._logs / f"{function.name}.log"
            self._log_files[function.name] = open(path, "ab", buffering=0)  # noqa: SIM115  closed by close()

    def find(self, name: str) -> Function:
        """By name, ARN, or either with a qualifier. Raises UnknownFunctionError."""
        short = name.partition(":function:")[2] or name
        short = short.partition(":")[0]
        if short not in self._functions:
            raise UnknownFunctionError(f"Function not found: {name}")
        return self._functions[short]

    def serves(self, folder: str) -> bool:
        """Whether a function's handler lies in lambdas/<folder>."""
        return any(principal(function.handler) == folder for function in self._functions.values())

    def named_after(self, folder: str) -> str:
        """The name of the function whose handler lies in lambdas/<folder>. Raises UnknownFunctionError."""
        for function in self._functions.values():
            if principal(function.handler) == folder:
                return function.name
        raise UnknownFunctionError(f"No function of {folder}")

    def invoke(self, name: str, payload: bytes, owner: str = "", *, called: bool = False) -> Result:
        """Runs the function and waits for it; `called` by another function. Raises UnknownFunctionError,
        PoolClosedError."""
        function = self.find(name)
        while True:
            invocation = Invocation(payload, owner)
            worker = self._take(function, owner, called=called)
            if worker is None:
                return failure("Sandbox.Aborted", "The execution was stopped")
            worker.take(invocation)
            if owner and owner in self._stopped_owners:  # stopped between _take and take, where abort() saw nothing
                worker.abort(owner)
            try:
                report = worker.invoke(invocation)
            finally:
                self._give_back(worker)
            if report is not None:
                self.reports.append(report)
                return invocation.result.result()

    def invoke_async(self, name: str, payload: bytes, then: Callable[[Result], None] | None = None) -> None:
        """As InvocationType Event: returns at once, tries again twice on error."""
        self.find(name)
        with self._changed:
            self._events += 1
        self._background.submit(self._run_event, name, payload, then)

    def drain(self, seconds: float) -> bool:
        """Waits for the asynchronous invocations. False: some are not done."""
        with self._changed:
            return self._changed.wait_for(lambda: self._events == 0, seconds)

    def stop(self, owner: str) -> None:
        """Kills what runs for `owner` and refuses what would still start for it."""
        with self._changed:
            self._stopped_owners.add(owner)
            self._changed.notify_all()
            workers = list(self._workers)
        for worker in workers:
            worker.abort(owner)

    def close(self) -> None:
        """Every process is gone when this returns."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._starting == 0)
            workers = list(self._workers)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
        self._background.shutdown(wait=True, cancel_futures=True)
        self._spawner.shutdown(wait=True)
        for file in self._log_files.values():
            file.close()

    def pids(self) -> list[int]:
        with self._changed:
            return [worker.process.pid for worker in self._workers]

    def _run_event(self, name: str, payload: bytes, then: Callable[[Result], None] | None) -> None:
        try:
            for _attempt in range(3):  # Lambda developer guide: an asynchronous invocation is retried twice
                result = self.invoke(name, payload)
                if result.error_type is None:
                    break
                LOG.warning("%s: asynchronous invocation failed: %s", name, result.payload.decode(errors="replace"))
            if then is not None:
                then(result)
        except PoolClosedError:
            LOG.warning("%s: asynchronous invocation dropped, the engine ends", name)
        finally:
            with self._changed:
                self._events -= 1
                self._changed.notify_all()

    def _take(self, function: Function, owner: str, *, called: bool) -> Worker | None:
        """A process for the function, alone; None when the owner was stopped meanwhile."""
        room = self._max + int(called)
        with self._changed:
            while True:
                if self._closed:
                    raise PoolClosedError
                if owner and owner in self._stopped_owners:
                    return None
                for worker in reversed(self._idle):
                    if worker.function == function and not worker.dead:
                        self._idle.remove(worker)
                        return worker
                if len(self._workers) - len(self._ending) + self._starting < room:
                    self._starting += 1
                    break
                self._called_waiting += called
                self._changed.wait(self._make_room(function))
                self._called_waiting -= called
        return self._start(function)

    def _make_room(self, function: Function) -> float | None:
        """Ends an idle process of another function. If one was used just now it may be wanted again, so a function
        that has a process at all waits for that one first. Returns how long, None for until something changes."""
        if not self._idle:
            return None
        oldest = self._idle[0]
        patience = IDLE_SECONDS - (time.monotonic() - oldest.idle_since)
        if patience > 0 and any(worker.function == function for worker in self._workers):
            return patience
        self._idle.remove(oldest)
        self._ending.add(oldest)
        oldest.kill()
        return 0

    def _start(self, function: Function) -> Worker:
        def start() -> Worker:
            log = self._log_files[function.name]
            return Worker(function, self._endpoint_url, log, self._scratch, self._forget)

        worker = None
        try:
            worker = self._spawner.submit(start).result()
            return worker
        finally:
            with self._changed:
                self._starting -= 1
                if worker is not None and not worker.dead:
                    self._workers.add(worker)
                self._changed.notify_all()

    def _give_back(self, worker: Worker) -> None:
        with self._changed:
            if worker in self._workers and not worker.dead and worker.process.poll() is None:
                worker.idle_since = time.monotonic()
                self._idle.append(worker)
            # One that may not take what came free must not be the only one to hear of it.
            if self._called_waiting:
                self._changed.notify_all()
            else:
                self._changed.notify()

    def _forget(self, worker: Worker) -> None:
        with self._changed:
            self._workers.discard(worker)
            self._ending.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            self._changed.notify_all()
