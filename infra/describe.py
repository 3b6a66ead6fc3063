"""The table of settings in docs/deploy.md: `python -m infra.describe` writes it anew.

Knows infra/settings.py. Refuses to know any other page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from infra.settings import Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "deploy.md"
TABLE = re.compile(r"SETTINGS_TABLE\n|\| setting \|.*?\n(?=\n)", re.DOTALL)


def table() -> str:
    """In Markdown, a setting a row, in the order of Settings."""
    rows = [f"| `{name}` | {_shown(default)} | {about} |" for name, default, about in Settings.describe()]
    return "\n".join(["| setting | default | what it is |", "|---|---|---|", *rows]) + "\n"


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        default = ",".join(default)
    return f"`{default}`" if default != "" else "none"


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text(), count=1))
