"""The CDK app: one stack. Makes no AWS call; account and Region are the deployer's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import infra  # noqa: F401  (first: it names the JavaScript runtime that aws_cdk starts)

# isort: split
import aws_cdk as cdk

from infra import audit
from infra.settings import Settings
from infra.stack import SluicewayStack

CDK_JSON = Path(__file__).with_name("cdk.json")

# CDK's own context keys hold ':', '/' or '-'; what looks like this is meant as a setting.
SETTING_NAME = re.compile(r"[a-z][a-z0-9_]*")


def build(context: Mapping[str, Any] | None = None, *, outdir: Path | str | None = None) -> cdk.App:
    """The app, not yet synthesised: `build({"max_concurrency": "10"}).synth()`.

    `context` holds settings of infra/settings.py by name, as text or typed, and CDK's own keys; it goes over
    cdk.json's, which CDK reads only when its command runs the app, and under what the command passes with -c.
    `{"aws:cdk:bundling-stacks": []}` leaves lambdas/ unbundled, in a second instead of a minute.
    Raises ValueError naming the setting that is unknown or wrong. synth() raises RuntimeError when the rule pack
    finds what nobody explained.
    """
    flags: dict[str, Any] = json.loads(CDK_JSON.read_text())["context"]
    app = cdk.App(
        context={**flags, **(context or {})},
        outdir=None if outdir is None else str(outdir),
        analytics_reporting=False,
    )
    everything: dict[str, Any] = app.node.get_all_context()
    named = {name: value for name, value in everything.items() if SETTING_NAME.fullmatch(name)}
    settings = Settings.from_context(named)
    SluicewayStack(app, settings.stack_id, settings=settings)
    audit.attach(app)
    return app


if __name__ == "__main__":
    build().synth()
