"""Asks the advisory database about every pinned package: `python -m infra.advisories PIP_AUDIT`, run by `make audit`.

Knows which lists of packages there are and tells three ends apart: nothing known, something known, nobody could be
asked. Refuses to know the database: pip-audit does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.bundling import LOCK

CLEAN, VULNERABLE, NOT_ASKED = 0, 1, 3
DATABASE = "https://pypi.org/pypi/"
COULD_NOT_ASK = """\
{about}: not audited. The advisory database behind {database} could not be asked, or does not know the package:
  {said}
So nothing is known of these packages, good or bad. Run `make audit` where that address can be reached."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What pip-audit answered for one list: its exit status, its table and its messages."""

    status: int
    table: str
    messages: str

    @property
    def verdict(self) -> int:
        """pip-audit says 1 for a finding and for a failure alike; only a finding has a table."""
        if self.status == 0:
            return CLEAN
        return VULNERABLE if self.table.strip() else NOT_ASKED

    def told(self, about: str) -> str:
        match self.verdict:
            case 0:
                return f"{about}: no known vulnerability"
            case 1:
                return f"{about}: {self._last}\n{self.table}"
        return COULD_NOT_ASK.format(about=about, database=DATABASE, said=self._last)

    @property
    def _last(self) -> str:
        """The last line of its messages: what comes before it, a traceback for one, is for pip-audit's authors."""
        lines = [line.strip() for line in self.messages.splitlines() if line.strip()]
        return lines[-1] if lines else f"pip-audit ended with status {self.status}"


def ask(pip_audit: str, *words: str) -> Answer:
    """Raises FileNotFoundError where there is no pip-audit."""
    done = subprocess.run(
        [pip_audit, "--strict", "--progress-spinner", "off", "--disable-pip", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@contextmanager
def installed() -> Iterator[Path]:
    """A list of what is installed beside this file's interpreter: what builds, tests and deploys."""
    freeze = [sys.executable, "-m", "pip", "freeze", "--disable-pip-version-check", "--exclude-editable"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        subprocess.run(freeze, stdout=file, check=True)
        yield Path(file.name)


def main(pip_audit: str) -> int:
    """The worst of the verdicts."""
    with installed() as development:
        answers = {
            "bundled into functions": ask(pip_audit, "--requirement", str(LOCK), "--require-hashes"),
            "for contributors and the command": ask(pip_audit, "--requirement", str(development), "--no-deps"),
        }
    for about, answer in answers.items():
        print(answer.told(about), file=sys.stdout if answer.verdict == CLEAN else sys.stderr)
    verdicts = {answer.verdict for answer in answers.values()}
    return VULNERABLE if VULNERABLE in verdicts else max(verdicts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
