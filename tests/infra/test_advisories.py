"""`make audit` tells a package that is vulnerable from a database that could not be asked."""

from __future__ import annotations

import pytest

from infra.advisories import CLEAN, NOT_ASKED, VULNERABLE, Answer

# As pip-audit 2.10.1 prints them.
FOUND = Answer(
    1,
    "Name   Version ID             Fix Versions\n------ ------- -------------- ------------\n"
    "jinja2 2.4.1   PYSEC-2014-8   2.7.2\n",
    "Found 1 known vulnerability in 1 package\n",
)
NOTHING = Answer(0, "", "No known vulnerabilities found\n")
UNKNOWN = Answer(
    1,
    "",
    "ERROR:pip_audit._cli:six: Dependency not found on PyPI and could not be audited: six (1.17.0)\n",
)
UNREACHABLE = Answer(
    1,
    "",
    'Traceback (most recent call last):\n  File "pip_audit/_cli.py", line 1, in audit\n'
    "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded\n",
)


@pytest.mark.parametrize(
    ("answer", "verdict"), [(FOUND, VULNERABLE), (NOTHING, CLEAN), (UNKNOWN, NOT_ASKED), (UNREACHABLE, NOT_ASKED)]
)
def test_a_finding_is_no_failure_and_a_failure_no_finding(answer: Answer, verdict: int) -> None:
    assert answer.verdict == verdict


def test_who_could_not_ask_says_so_without_a_traceback() -> None:
    told = UNREACHABLE.told("bundled into functions")
    assert told.startswith("bundled into functions: not audited.")
    assert "https://pypi.org/pypi/" in told and "Max retries exceeded" in told and "make audit" in told
    assert "Traceback" not in told and "_cli.py" not in told


def test_what_was_found_is_shown_whole() -> None:
    assert "PYSEC-2014-8" in FOUND.told("x") and "Found 1 known vulnerability" in FOUND.told("x")
