"""`make demo`: an export job against a small export API, from the request to files on disk, all on this machine.

Serves the API on loopback, runs `sluiceway run` as a user would, and shows what landed, what did not, and why. Ends
with 0 only if exactly the two bad files were held back and every other one is what the API holds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from cli.exits import Exit
from demo.export_api import ExportApi

ROOT = Path(__file__).parents[1]
LANDED = Path("landed-demo")
BUCKET = "demo-landing"
REPORT = "jobs/jobs/demo/report.jsonl"


def job(api: ExportApi) -> dict[str, Any]:
    return {
        "job_id": "demo",
        "source": {
            "type": "http",
            "start": {"url": f"http://{api.host}/exports", "json": {"tables": "all"}},
            "poll": {
                "url": f"http://{api.host}/exports/{{{{ id }}}}",
                "status": "status",
                "status_mapping": {"running": ["QUEUED", "RUNNING"], "completed": ["DONE"], "failed": ["ERROR"]},
                "interval_seconds": 1,
            },
            "files": {
                "list": "files",
                "url": "href",
                "key": "name",
                "size": "bytes",
                "digests": {"sha256": "sha256"},
            },
        },
        "destination": {"bucket": BUCKET, "prefix": "acme/"},
    }


def main() -> int:
    console = Console(highlight=False)
    shutil.rmtree(ROOT / LANDED, ignore_errors=True)  # of the last demo
    with ExportApi() as api, tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "demo.json"
        document.write_text(json.dumps(job(api), indent=2))
        console.print(f"An export API with {len(api.files)} files is up on {api.host}.\n$ [bold]cat demo.json[/]")
        console.print_json(document.read_text())
        command = ["run", str(document), "--landed", str(LANDED), "--allow-source", api.host]
        console.print(f"$ [bold]sluiceway run demo.json --landed {LANDED} --allow-source {api.host}[/]")
        code = run([sys.executable, "-m", "cli.main", *command])
        if code == Exit.INTERRUPTED:
            return code
        report = _read_report()
        if report is None:
            console.print(f"[red]No report was written[/]: sluiceway run ended with {code}, and says why above.")
            return 1
        _show_landed(console)
        _show_report(console, report)
        return _judge(console, api, code, report)


def run(command: Sequence[str]) -> int:
    """The exit code of a command that shares the terminal. Ctrl-C goes to both, and it is the command that ends by it,
    in its own time and order; a SIGTERM is handed on."""
    # A handler, for what is ignored the command would ignore as well: handlers do not outlive the start of a program.
    interrupt = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with subprocess.Popen(command, cwd=ROOT) as process:
            terminate = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            try:
                return process.wait()
            finally:
                signal.signal(signal.SIGTERM, terminate)
    finally:
        signal.signal(signal.SIGINT, interrupt)


def _show_landed(console: Console) -> None:
    table = Table(title=f"landed under {LANDED}/{BUCKET}/", title_justify="left")
    table.add_column("file")
    table.add_column("size", justify="right")
    for path in sorted((ROOT / LANDED / BUCKET).rglob("*")):
        if path.is_file():
            table.add_row(str(path.relative_to(ROOT / LANDED / BUCKET)), decimal(path.stat().st_size))
    console.print(table)


def _read_report() -> list[dict[str, Any]] | None:
    """Its lines; None where the job did not come as far."""
    for path in (ROOT / LANDED).glob(REPORT):
        return [json.loads(line) for line in path.read_text().splitlines()]
    return None


def _show_report(console: Console, lines: list[dict[str, Any]]) -> None:
    table = Table(title=f"{LANDED}/{REPORT}", title_justify="left")
    for column in ("status", "key", "sha256", "error"):
        table.add_column(column, no_wrap=True)
    for line in sorted(lines, key=lambda line: (line["status"] != "STORED", line["key"])):
        error = line["error"]["type"] if line["error"] else ""
        colour = "green" if line["status"] == "STORED" else "red"
        status = f"[{colour}]{line['status']}[/]"
        table.add_row(status, line["key"], (line["sha256"] or "")[:8], error)
    console.print(table)


def _judge(console: Console, api: ExportApi, code: int, report: list[dict[str, Any]]) -> int:
    expected = {
        f"acme/{file.name}": "FAILED" if file.missing else "REJECTED" if file.lies else "STORED"
        for file in api.files.values()
    }
    wrong = [line["key"] for line in report if expected.pop(line["key"], None) != line["status"]]
    for file in api.files.values():
        path = ROOT / LANDED / BUCKET / "acme" / file.name
        good = not (file.missing or file.lies)
        if path.exists() != good or (good and _sha256(path) != file.sha256):
            wrong.append(file.name)
    if wrong or expected or code != Exit.FILES:
        console.print(f"[red]Not as meant[/]: exit code {code}, {sorted({*wrong, *expected})}")
        return 1
    console.print("Ten files landed as the API holds them.\nThe wrong checksum and the 404 left nothing behind.")
    return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before or after the command itself
        sys.exit(Exit.INTERRUPTED)
