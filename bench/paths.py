"""Where the benchmark keeps what it builds: all of it under .sluiceway/bench, which git ignores."""

from __future__ import annotations

from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
BUILT = ROOT / ".sluiceway" / "bench"
TOOLS = BUILT / "tools"
VENV = BUILT / "venv"
AIOBOTO3_VENV = BUILT / "venv-aioboto3"
NODE = BUILT / "node"
DATA = BUILT / "data"
TLS = BUILT / "tls"
RESULTS = BENCH / "RESULTS.md"

MIB = 1024**2
GIB = 1024**3
