"""What the start of process_file costs: its modules, their CPU and their memory.

`python -m bench.imports` prints the modules outside the standard library that are loaded once the function is ready
for its first file. tests/bench keeps that list; growing it is a decision. Of the standard library it names what may
not be there: which of its modules load which differs from one Python to the next.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from bench.figures import Record, save
from bench.measure import run
from bench.paths import ROOT
from bench.peers.catalogue import ENV
from bench.transfers import cores_of

SUITE = "start"
FUNCTION = "process_file"
YARDSTICK = "urllib3, botocore s3, Logger, Metrics; no awscrt"
WITH_AWSCRT = "urllib3, botocore s3, Logger, Metrics, awscrt"
FUNCTION_ENV = {
    **ENV,
    "PYTHONPATH": str(ROOT / "lambdas"),
    "SLUICEWAY_JOBS_BUCKET": "jobs",
    "SLUICEWAY_JOBS_TABLE": "jobs",
    "SLUICEWAY_EVENT_BUS": "bus",
    "SLUICEWAY_LANDING_BUCKET": "landing",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "POWERTOOLS_SERVICE_NAME": "sluiceway",
    "POWERTOOLS_METRICS_NAMESPACE": "Sluiceway",
}
# Everything the first file needs: its code, the S3 and DynamoDB clients, the HTTP client.
READY = (
    "import process_file.handler; from sluiceway.wiring import services; "
    "s = services(); s.s3, s.jobs, s.files, s.source"
)
# A function is frozen, not ended: what its interpreter does on its way out does not count.
TELL = "import time; print(time.process_time())"
LIBRARIES = (
    "import urllib3, botocore.session; from aws_lambda_powertools import Logger, Metrics; "
    "botocore.session.get_session().create_client('s3'); Logger(service='x'); Metrics(namespace='x', service='x')"
)
MEASURED = {
    FUNCTION: READY,
    # botocore takes awscrt along wherever it is installed: here it finds none.
    YARDSTICK: f"import sys; sys.modules['awscrt'] = None; {LIBRARIES}",
    WITH_AWSCRT: LIBRARIES,
}


def measure(results: Path, *, rounds: int) -> None:
    """Appends a Record a run; its peak memory is that of a process that has imported and waits for its first event."""
    client, _ = cores_of("one")
    for turn in range(rounds):
        for name, code in random.Random(turn).sample(sorted(MEASURED.items()), len(MEASURED)):
            done = run([sys.executable, "-c", f"{code}\n{TELL}"], cores=client, env=FUNCTION_ENV)
            save(results, Record(SUITE, "", "one", 0, name, turn, float(done.output), done.wall, done.peak_mib))


def modules_of(code: str = READY) -> list[str]:
    """Names of all modules that are loaded once `code` has run, sorted."""
    code = f"import sys\n{code}\nprint('\\n'.join(sorted(name for name, module in sys.modules.items() if module)))"
    env = {**FUNCTION_ENV, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()


def loaded_modules() -> list[str]:
    """Of process_file, those that are not Python's own."""
    own = {*sys.stdlib_module_names, "__main__", *sys.builtin_module_names}
    names = (name for name in modules_of() if name.split(".")[0] not in own)
    # How this checkout was installed is not the function's.
    return [name for name in names if not name.startswith(("__editable__", "_distutils", "sitecustomize"))]


if __name__ == "__main__":
    print("\n".join(loaded_modules()))
