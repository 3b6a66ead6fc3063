"""The embedded engine: an AWS in this process, on loopback, with the template deployed in it whole.

Knows the order in which the parts start and end. What each does is told where it lives: front.py (the endpoint),
s3_*.py (objects as plain files), lambdas.py (functions as processes), interpreter.py and map_run.py (Step
Functions), rules.py (EventBridge), deployment.py (CloudFormation and the rest of moto).
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from local import synth
from local.calls import OnCall
from local.folder import FolderUnusableError, in_the_way
from local.front import Front
from local.http import Server
from local.lambda_types import Report
from local.lambda_worker import REGION
from local.lambdas import Pool
from local.patches import Patches
from local.s3_api import S3
from local.s3_errors import TAKEN, S3Error
from local.s3_store import Store

if TYPE_CHECKING:
    from local.deployment import Deployed

LOG = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0  # what events started may finish, once the executions were stopped
_ENVIRONMENT = {
    "VALIDATE_LAMBDA_S3": "false",  # the template's code assets are in no bucket
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
}
_only_one = threading.Lock()  # moto's backends are the process's, not an object's


class EngineBusyError(Exception):
    """This process runs an engine already."""


class Engine:
    """A context manager. Inside, `endpoint_url` speaks for every AWS service, without credentials.

    `landed` is the folder of the objects, `landed/<bucket>/<key>`. `settings` are names of infra/settings.py with
    their values as text. `secrets` maps names to values, each a text or an object. `wait_scale` shortens the state
    machine's Wait states. `port` 0 is any that is free. `template` and `code` replace the synthesised app and lambdas/.
    `on_call` is told every request and may answer it, `on_step` in words what is being set up.

    Entering raises ValueError for a wrong setting, local.synth.SynthError, local.asl.UnsupportedAslError,
    EngineBusyError, local.folder.FolderUnusableError, OSError for a port that is taken.
    """

    def __init__(
        self,
        landed: Path,
        *,
        settings: Mapping[str, str] | None = None,
        allowed_sources: Sequence[str] = (),
        secrets: Mapping[str, Any] | None = None,
        wait_scale: float = 1.0,
        max_processes: int | None = None,
        port: int = 0,
        template: Mapping[str, Any] | None = None,
        code: Path | None = None,
        on_call: OnCall | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.store = Path(landed).resolve()
        self.endpoint_url = ""
        self.outputs: dict[str, str] = {}
        self.ignored: list[str] = []
        self._settings = dict(settings or {})
        if allowed_sources:
            self._settings["allowed_sources"] = ",".join(allowed_sources)
        self._secrets = secrets
        self._wait_scale = wait_scale
        self._max_processes = max_processes
        self._port = port
        self._template = template
        self._on_call = on_call
        self._on_step = on_step or _to_nobody
        self._code = code or synth.ROOT / "lambdas"
        # Others are not served before the stack is deployed.
        self._access_key_id = f"engine-{uuid.uuid4().hex}"
        self._stack = ExitStack()
        self._pool: Pool | None = None

    @property
    def reports(self) -> list[Report]:
        """One a finished invocation, in the order they finished."""
        return [] if self._pool is None else self._pool.reports

    @property
    def logs(self) -> Path:
        """A file a function: what its processes wrote, and a REPORT line an invocation."""
        return self.store / ".sluiceway" / "logs"

    def client(self, service: str) -> Any:
        """A botocore client for any service of the engine."""
        return self._session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self._access_key_id,
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=900, max_pool_connections=64),
        )

    @property
    def has_events(self) -> bool:
        """Whether a function still handles what an event asked of it."""
        return self._pool is not None and not self._pool.drain(0)

    def pids(self) -> list[int]:
        """The functions' processes that are alive."""
        return [] if self._pool is None else self._pool.pids()

    def __enter__(self) -> Engine:
        _check_settings(self._settings)
        if not _only_one.acquire(blocking=False):
            raise EngineBusyError("one engine a process")
        self._stack.callback(_only_one.release)
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._session = botocore.session.Session()
        s3 = S3(self.store)
        self._stack.callback(s3.close)
        self._on_step("making the stack's template")
        template = self._template if self._template is not None else synth.template(self._settings)
        self._on_step("loading the services")
        front = Front(s3, _not_yet, lambda: server.port, self._on_call, only=self._access_key_id)
        server = Server(front, self._port, name="aws")
        self._stack.callback(server.close)
        self.endpoint_url = server.url
        self._set_environment({**_ENVIRONMENT, "MOTO_PORT": str(server.port)})

        from local import deployment  # moto reads its environment on import: after the lines above

        front.use(deployment.application())
        self._stack.callback(deployment.reset)
        pool = self._start_pool(s3)
        front.pool = self._pool = pool
        patches = Patches()
        self._stack.callback(patches.close)
        deployment.install(patches, self._hooks(pool), pool.invoke_async, self._start_execution)
        self._stack.callback(self._stop_everything, deployment, pool)
        self._on_step("deploying the stack")
        deployed = deployment.deploy(template, self.client, self._code, self.endpoint_url)
        self._take_over(deployed, s3, pool)
        self._access_key_id = "local"
        front.open()

    def _start_pool(self, s3: S3) -> Pool:
        logs = self.logs / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        logs.mkdir(parents=True, exist_ok=True)
        pool = Pool(self.endpoint_url, logs, s3.store.scratch, self._max_processes)
        self._stack.callback(pool.close)
        return pool

    def _hooks(self, pool: Pool) -> Any:
        from local import interpreter, rules  # as above

        return interpreter.Hooks(
            invoke=pool.invoke, changed=rules.send_status, stop=pool.stop, wait_scale=self._wait_scale
        )

    def _start_execution(self, machine: str, text: str) -> None:
        self.client("stepfunctions").start_execution(stateMachineArn=machine, input=text)

    def _take_over(self, deployed: Deployed, s3: S3, pool: Pool) -> None:
        pool.deploy(deployed.functions)
        wanted = [*deployed.buckets, *_listed(self._settings, "destination_buckets")]
        wanted += [*_listed(self._settings, "manifest_buckets"), *_listed(self._settings, "landing_bucket")]
        for bucket in wanted:
            # Signed links lie in the jobs bucket.
            _make_bucket(s3.store, bucket, private=bucket == deployed.outputs.get("JobsBucket"))
        bus = self._settings.get("event_bus", "default")
        if bus != "default":
            self.client("events").create_event_bus(Name=bus)
        if self._secrets is not None:
            client = self.client("secretsmanager")
            for name, value in self._secrets.items():
                text = value if isinstance(value, str) else json.dumps(value)
                client.create_secret(Name=name, SecretString=text)
        self.outputs = deployed.outputs
        self.ignored = deployed.ignored

    def _stop_everything(self, deployment: Any, pool: Pool) -> None:
        """Running executions are stopped as StopExecution would, and what the rules start upon it may finish."""
        deployment.stop_executions()
        if not pool.drain(DRAIN_SECONDS):
            LOG.warning("gave up on asynchronous invocations after %.0f s", DRAIN_SECONDS)

    def _set_environment(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._stack.callback(_restore, name, os.environ.get(name))
            os.environ[name] = value


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _check_settings(settings: Mapping[str, str]) -> None:
    from infra.settings import Settings  # only a caller with settings pays for it

    if settings:
        Settings.from_context(settings)


def _make_bucket(store: Store, bucket: str, *, private: bool) -> None:
    """Raises FolderUnusableError."""
    try:
        store.create_bucket(bucket, private=private)
    except S3Error as error:
        if error.code != TAKEN:
            raise
        raise FolderUnusableError(
            error.message, "a folder on the same file system, or nothing yet, for each bucket"
        ) from error
    except OSError as error:
        raise in_the_way(store.root / bucket, error) from error


def _listed(settings: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in settings.get(name, "").split(",") if item.strip()]


def _to_nobody(_step: str) -> None:
    """Nobody looks on."""


def _not_yet(_environ: dict[str, Any], _start: Any) -> list[bytes]:
    raise RuntimeError("the engine is still starting")
