"""Deploys or destroys a stack: `python -m infra.deploy deploy stage=test --profile work`.

Knows how the app is built and handed to CDK's command, and says what is missing before CDK does in its own words.
NAME=VALUE words are settings of infra/settings.py; every other word goes to CDK's command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError

from infra.settings import Settings, split_assignments
from infra.tools import command

OUTDIR = Path("cdk.out")
VERBS = ("deploy", "destroy")
INVALID, NOT_READY = 2, 3

NO_CREDENTIALS = """\
The stack is built, in {outdir}/. To go on, AWS credentials are needed, and none were found.
Set AWS_PROFILE (or pass --profile NAME), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws configure sso` makes a
profile. docs/deploy.md lists the permissions a deployer needs."""
NO_REGION = """\
The stack is built, in {outdir}/. To go on, a Region is needed: set AWS_REGION, or a region in the profile."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to do, under which settings; `passed` are words for CDK's command."""

    verb: str
    settings: Mapping[str, str]
    passed: tuple[str, ...]

    @property
    def profile(self) -> str | None:
        """The profile that CDK is told to use."""
        for word, following in zip_longest(self.passed, self.passed[1:]):
            if word == "--profile":
                return following
            if word.startswith("--profile="):
                return word.removeprefix("--profile=")
        return None


def parse(words: Sequence[str]) -> Request:
    """Raises ValueError for a verb that is none, a setting that is unknown or wrong."""
    if not words or words[0] not in VERBS:
        raise ValueError(f"expected {' or '.join(VERBS)}, found {words[0] if words else 'nothing'}")
    named = [word for word in words[1:] if "=" in word and not word.startswith("-")]
    settings = split_assignments(named)
    Settings.from_context(settings)
    return Request(words[0], settings, tuple(word for word in words[1:] if word not in named))


def missing(profile: str | None) -> str | None:
    """What to tell the user before AWS can be called; None when nothing is missing."""
    session = botocore.session.Session(profile=profile)
    try:
        if session.get_credentials() is None:
            return NO_CREDENTIALS
    except BotoCoreError as error:
        return f"{NO_CREDENTIALS}\n({error})"
    if not (session.get_config_variable("region") or os.environ.get("AWS_REGION")):
        return NO_REGION
    return None


def main(words: Sequence[str]) -> int:
    """Returns only when CDK's command is not reached: 2 for a wrong request, 3 when AWS cannot be called."""
    try:
        request = parse(words)
    except ValueError as error:
        print(error, file=sys.stderr)
        return INVALID
    from app import build  # CDK takes seconds to start: after the request is known to be right

    # What is to be destroyed needs no bundles.
    unbundled: dict[str, Any] = {"aws:cdk:bundling-stacks": []} if request.verb == "destroy" else {}
    outdir = OUTDIR.resolve()  # CDK's process may have been started in another folder
    stack = build({**request.settings, **unbundled}, outdir=outdir).synth().stacks[0].stack_name
    complaint = missing(request.profile)
    if complaint is not None:
        print(complaint.format(outdir=OUTDIR), file=sys.stderr)
        return NOT_READY
    line = [*command("cdk"), request.verb, "--app", str(outdir), stack, *request.passed]
    os.execv(line[0], line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
