"""What process_file loads before its first file is a list that somebody agreed to: every start pays for it."""

from __future__ import annotations

from pathlib import Path

from bench.imports import loaded_modules

AGREED = Path(__file__).with_name("process_file_modules.txt")
# Each would add a quarter of a second or more to a start, or belongs to another function.
FORBIDDEN = {"boto3", "pydantic", "ijson", "yaml", "typer", "rich", "sluiceway.spec", "sluiceway.exports", "xmltodict"}


def test_process_file_imports_nothing_that_is_not_on_the_list() -> None:
    agreed, loaded = set(AGREED.read_text().split()), set(loaded_modules())
    new = sorted(loaded - agreed)
    assert not new, (
        f"process_file now imports {', '.join(new)}. Import what only some files need where they need it; what every "
        f"file needs goes on the list: python -m bench.imports > {AGREED.name}"
    )


def test_the_list_itself_holds_nothing_heavy() -> None:
    agreed = AGREED.read_text().split()
    assert not [name for name in agreed if any(f"{name}.".startswith(f"{heavy}.") for heavy in FORBIDDEN)]


def test_the_list_is_of_a_function_that_is_ready() -> None:
    agreed = set(AGREED.read_text().split())
    assert {"process_file.handler", "botocore.client", "urllib3.connectionpool", "_awscrt"} <= agreed
